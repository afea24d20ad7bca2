// Sends the heads of HTTP/1 requests otherwise than they were recorded, line by line while the
// bytes of one connection pass. Only lines that a rule names change.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "proto/event.h"
#include "replayer/rewrite_rules.h"

namespace wiretape {

// What rewriting did, over all connections.
struct RewriteTally {
  // The first line that changed; empty: there was none, or it was removed.
  struct Example {
    std::string before, after;
  };
  uint64_t requests = 0;          // in which something changed
  std::vector<uint64_t> by_rule;  // requests in which this rule changed something
  std::optional<Example> example;
  // Requests count that begin in this stretch of time; it is set by whoever knows the time.
  int64_t from_ns = 0, to_ns = INT64_MAX, now_ns = 0;
  bool counts_now() const { return now_ns >= from_ns && now_ns < to_ns; }
};

// Where requests begin and where their heads end, within the bytes at hand and in order: offsets in
// the client's stream as it was recorded.
struct HeadBounds {
  std::span<const uint64_t> begun, ended;
};

// Of one connection. A request's first field of a rule's name is replaced where it stands, further
// ones are dropped, and one that is not there is added at the head's end; obsolete line folding
// (RFC 9112 section 5.2) goes with its field. A line that is set ends with CR LF
// (RFC 9112 section 2.2).
// Not thread-safe. Takes any bytes; holds back one incomplete line, which is at most a head.
class Rewriter {
 public:
  // Both must outlive the rewriter.
  Rewriter(const RewriteRules& rules, RewriteTally& tally);

  // The next bytes of the client's stream, as they are to be sent. May be none: the line is not
  // complete. The first byte of a request is never held back.
  std::vector<std::byte> next(Bytes bytes, HeadBounds bounds);
  // The head under way does not go on, or is none: what was held back of it, as it was.
  std::vector<std::byte> flush();
  bool removes_expect() const { return wiretape::removes_expect(rules_); }

 private:
  enum class Part : uint8_t { outside, request_line, fields };

  void begin_head();
  void end_head();
  void head_bytes(Bytes bytes);
  void field_bytes(std::string_view piece, bool ends_line);
  void line(std::string_view line);
  void field(std::string_view line);
  void apply(size_t rule, std::string_view line);
  void add_missing();
  void changed(size_t rule, std::string_view before, std::string_view after);
  void put(std::string_view text);

  // Invariant: outside a head and within a request line nothing is held, and held_ has no line end.
  const RewriteRules& rules_;
  RewriteTally& tally_;
  std::vector<std::byte> out_;
  std::string held_;
  uint64_t offset_ = 0;  // of the next byte, as recorded
  Part part_ = Part::outside;
  bool counts_ = true;             // in the tally: the head under way
  std::optional<size_t> current_;  // the rule that took the last field
  std::vector<bool> met_;          // by rule: the head has such a field
  std::vector<bool> changed_;      // by rule
};

}  // namespace wiretape
