// The parser of one direction of an HTTP/1.x connection, one message at a time. Nothing else in
// Wiretape knows llhttp.
//
//   begin(), then advance() with the bytes as they come:
//
//     start line, fields | body, trailers |
//                        ^                ^
//                     Stop::head       Stop::end
//
// advance() stops exactly behind the head and behind the message, so that whoever calls it counts
// offsets by what was used. A message that has no body although its head promises one (the answer
// to HEAD, 204, 304, 1xx) is over at its head: the caller, who knows the request, begins the next.
//
// Invariant: between begin() and the first Stop::head the parser is in the head, and head_bytes_ is
// at most head_bytes_max. Not thread-safe. Takes any bytes.
#pragma once

#include <llhttp.h>

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "proto/event.h"
#include "proto/exchange.h"

namespace wiretape {

// Text that may come in pieces. It is a view of the bytes at hand as long as that will do, and
// copied only when a piece has to outlive its chunk.
class SplitText {
 public:
  void clear() {
    seen_ = {};
    if (!kept_.empty()) forget();
  }
  void add(std::string_view piece) {
    if (seen_.empty() && kept_.empty()) {
      seen_ = piece;
    } else {
      append(piece);
    }
  }
  // The bytes seen so far are about to go.
  void keep() {
    if (!seen_.empty()) append({});
  }
  std::string_view view() const { return kept_.empty() ? seen_ : std::string_view(kept_); }

 private:
  void append(std::string_view piece);
  void forget();

  std::string_view seen_;  // empty when kept_ is not
  std::string kept_;
};

class BodySink {
 public:
  virtual void on_body(Bytes body) = 0;  // without transfer coding

 protected:
  ~BodySink() = default;
};

class Http1Parser {
 public:
  enum class Kind : uint8_t { request, response };
  enum class Collect : uint8_t { essentials, all_fields };
  enum class Stop : uint8_t { more, head, end, failed, http2 };
  struct Step {
    size_t used = 0;  // all of it, when it stopped for more
    Stop stop = Stop::more;
  };

  static constexpr size_t head_bytes_max = 256 * 1024;

  Http1Parser(Kind kind, Collect collect, BodySink& sink);
  ~Http1Parser();
  Http1Parser(const Http1Parser&) = delete;
  Http1Parser& operator=(const Http1Parser&) = delete;

  // A message starts with the next byte, which is not an empty line's.
  void begin();
  // After Stop::head it must be called again, with no bytes if need be, unless the caller knows
  // that the message is over: llhttp finds the end of an empty body only then.
  Step advance(Bytes bytes);
  // End of stream: true when it ends the message, because nothing else gave its length.
  bool finish();

  bool in_head() const { return in_head_; }
  bool collects_fields() const { return places_ != nullptr; }
  // After the head, until the next begin(). Views last until the next advance().
  std::string_view method() const;
  std::string_view target() const { return target_.view(); }
  std::string_view authority() const;
  uint32_t status() const { return llhttp_.status_code; }
  // Another message may follow on the connection (RFC 9112 section 9.3).
  bool persistent() const { return llhttp_should_keep_alive(&llhttp_) != 0; }
  // A request that announces no body (RFC 9112 section 6.3, rule 7): its head is all of it.
  bool is_bodiless_request() const {
    constexpr int announced = F_CHUNKED | F_TRANSFER_ENCODING | F_CONTENT_LENGTH;
    return kind_ == Kind::request && (llhttp_.flags & announced) == 0;
  }
  // Of head and trailers, as far as they were seen.
  bool holds_credentials() const { return holds_credentials_; }
  // With Collect::all_fields only.
  const HttpHead& head();
  // After Stop::failed: the parser's own words.
  std::string_view error() const { return error_; }

 private:
  enum class Field : uint8_t { other, host, credential };
  struct Callbacks;  // llhttp's, in C
  struct FieldPlaces;

  Step stopped(llhttp_errno_t code, size_t used);
  Step failed(size_t used, const char* error);
  void keep_texts();
  void name_complete();
  int head_complete();
  Field classify(std::string_view name) const;

  llhttp_t llhttp_;
  BodySink& sink_;
  Kind kind_;
  Field field_ = Field::other;
  bool in_head_ = true;
  bool name_open_ = false;  // a field's name was begun and its value was not
  bool authority_done_ = false;
  bool holds_credentials_ = false;
  Stop stop_ = Stop::more;  // what the last callback stopped for
  uint32_t head_bytes_ = 0;
  const char* error_ = "";
  SplitText name_;
  SplitText target_;
  SplitText authority_;
  std::unique_ptr<FieldPlaces> places_;  // with Collect::all_fields only
};

}  // namespace wiretape
