// How llhttp is driven. It calls back for every piece of a message and says nothing of where in the
// stream it is, unless it is paused: then it names the next byte. So it is paused twice a message,
// behind the head and behind the end, and every offset comes from that. It is set up anew for each
// message, so that nothing it believes about the connection (keep-alive, upgrades) carries over:
// what comes next is the tracker's to decide, who sees both directions.
//
// The hot path allocates nothing: of the fields only the name is looked at, and text is copied
// only when a chunk ends inside it. Who wants all fields (Collect::all_fields) pays for a copy of
// the head.
//
// Written for llhttp 8 and 9. What differs between them is what they take for HTTP: 9 is stricter
// about line ends, and answers with an error where 8 goes on.
#include "proto/http1.h"

#include <algorithm>
#include <cassert>
#include <cstring>

namespace wiretape {
namespace {

constexpr size_t retained_bytes_max = 4096;  // of one text, from message to message
constexpr size_t name_bytes_max = 64;        // a longer name is none that we look for

// `lower` is in lower case.
bool same_name(std::string_view name, std::string_view lower) {
  if (name.size() != lower.size()) return false;
  for (size_t i = 0; i < name.size(); ++i) {
    char c = name[i];
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c | 0x20);
    if (c != lower[i]) return false;
  }
  return true;
}

std::string_view trimmed(std::string_view text) {
  auto is_space = [](char c) { return c == ' ' || c == '\t' || c == '\r' || c == '\n'; };
  while (!text.empty() && is_space(text.front())) text.remove_prefix(1);
  while (!text.empty() && is_space(text.back())) text.remove_suffix(1);
  return text;
}

}  // namespace

void SplitText::append(std::string_view piece) {
  kept_.append(seen_).append(piece);
  seen_ = {};
}

void SplitText::forget() {
  if (kept_.capacity() > retained_bytes_max) kept_ = std::string();
  kept_.clear();
}

// Where the parts of a head are in a copy of its text.
struct Http1Parser::FieldPlaces {
  struct Place {
    uint32_t name = 0, value = 0, end = 0;
  };
  std::string text;
  std::vector<Place> places;
  std::string reason;
  HttpHead head;

  void clear() {
    text.clear();
    places.clear();
    reason.clear();
    if (text.capacity() > retained_bytes_max) text = std::string();
  }

  uint32_t here() const { return static_cast<uint32_t>(text.size()); }

  void add_name(std::string_view piece, bool first) {
    if (first) places.push_back({here(), here(), here()});
    text.append(piece);
    places.back().value = places.back().end = here();
  }

  void add_value(std::string_view piece) {
    if (places.empty()) return;
    text.append(piece);
    places.back().end = here();
  }

  void list_fields() {
    const std::string_view all = text;
    head.fields.clear();
    for (const Place& p : places) {
      head.fields.push_back(
          {all.substr(p.name, p.value - p.name), trimmed(all.substr(p.value, p.end - p.value))});
    }
  }
};

struct Http1Parser::Callbacks {
  static Http1Parser& self(llhttp_t* p) { return *static_cast<Http1Parser*>(p->data); }

  static int on_target(llhttp_t* p, const char* at, size_t size) {
    self(p).target_.add({at, size});
    return 0;
  }

  static int on_reason(llhttp_t* p, const char* at, size_t size) {
    self(p).places_->reason.append(at, size);
    return 0;
  }

  static int on_name(llhttp_t* p, const char* at, size_t size) {
    Http1Parser& parser = self(p);
    if (!parser.name_open_) parser.name_.clear();
    if (parser.places_ && parser.in_head_) {
      parser.places_->add_name({at, size}, !parser.name_open_);
    }
    parser.name_open_ = true;
    if (parser.name_.view().size() < name_bytes_max) parser.name_.add({at, size});
    return 0;
  }

  static int on_name_complete(llhttp_t* p) {
    self(p).name_complete();
    return 0;
  }

  static int on_value(llhttp_t* p, const char* at, size_t size) {
    Http1Parser& parser = self(p);
    if (!parser.in_head_) return 0;
    if (parser.field_ == Field::host) parser.authority_.add({at, size});
    if (parser.places_) parser.places_->add_value({at, size});
    return 0;
  }

  static int on_headers_complete(llhttp_t* p) { return self(p).head_complete(); }

  static int on_body(llhttp_t* p, const char* at, size_t size) {
    self(p).sink_.on_body(as_bytes({at, size}));
    return 0;
  }

  static int on_message_complete(llhttp_t* p) {
    self(p).stop_ = Stop::end;
    return HPE_PAUSED;
  }

  static llhttp_settings_t settings(Kind kind, Collect collect) {
    const bool all = collect == Collect::all_fields;
    llhttp_settings_t s;
    llhttp_settings_init(&s);
    if (kind == Kind::request) s.on_url = on_target;
    if (kind == Kind::response && all) s.on_status = on_reason;
    s.on_header_field = on_name;
    s.on_header_field_complete = on_name_complete;
    if (kind == Kind::request || all) s.on_header_value = on_value;
    s.on_headers_complete = on_headers_complete;
    s.on_body = on_body;
    s.on_message_complete = on_message_complete;
    return s;
  }

  static const llhttp_settings_t* shared_settings(Kind kind, Collect collect) {
    static const llhttp_settings_t table[2][2] = {{settings(Kind::request, Collect::essentials),
                                                   settings(Kind::request, Collect::all_fields)},
                                                  {settings(Kind::response, Collect::essentials),
                                                   settings(Kind::response, Collect::all_fields)}};
    return &table[static_cast<size_t>(kind)][static_cast<size_t>(collect)];
  }
};

Http1Parser::Http1Parser(Kind kind, Collect collect, BodySink& sink) : sink_(sink), kind_(kind) {
  llhttp_init(&llhttp_, kind == Kind::request ? HTTP_REQUEST : HTTP_RESPONSE,
              Callbacks::shared_settings(kind, collect));
  llhttp_.data = this;
  if (collect == Collect::all_fields) places_ = std::make_unique<FieldPlaces>();
}

Http1Parser::~Http1Parser() = default;

void Http1Parser::begin() {
  llhttp_reset(&llhttp_);
  field_ = Field::other;
  in_head_ = true;
  name_open_ = authority_done_ = holds_credentials_ = false;
  head_bytes_ = 0;
  name_.clear();
  target_.clear();
  authority_.clear();
  if (places_) places_->clear();
}

Http1Parser::Step Http1Parser::advance(Bytes bytes) {
  stop_ = Stop::more;
  llhttp_resume(&llhttp_);
  const bool was_in_head = in_head_;
  const char* from = as_text(bytes).data();
  const llhttp_errno_t code = llhttp_execute(&llhttp_, from, bytes.size());
  const size_t used =
      code == HPE_OK ? bytes.size() : static_cast<size_t>(llhttp_get_error_pos(&llhttp_) - from);
  if (was_in_head) {
    if (used > head_bytes_max - head_bytes_) return failed(used, "head of more than 256 KiB");
    head_bytes_ += static_cast<uint32_t>(used);
  }
  assert(head_bytes_ <= head_bytes_max);
  if (code != HPE_OK) return stopped(code, used);
  keep_texts();
  return {used, Stop::more};
}

Http1Parser::Step Http1Parser::stopped(llhttp_errno_t code, size_t used) {
  if (code == HPE_PAUSED_H2_UPGRADE) return {used, Stop::http2};
  if (code != HPE_PAUSED) {
    const char* reason = llhttp_get_error_reason(&llhttp_);
    return failed(used, reason != nullptr ? reason : llhttp_errno_name(code));
  }
  assert(stop_ == Stop::head || stop_ == Stop::end);
  return {used, stop_};
}

Http1Parser::Step Http1Parser::failed(size_t used, const char* error) {
  if (stop_ != Stop::failed) error_ = error;  // a callback's words go before llhttp's
  return {used, Stop::failed};
}

bool Http1Parser::finish() {
  stop_ = Stop::more;
  llhttp_finish(&llhttp_);
  return stop_ == Stop::end;
}

// The chunk is at its end; what is still needed of it is kept.
void Http1Parser::keep_texts() {
  if (name_open_) name_.keep();
  if (!in_head_) return;
  target_.keep();
  authority_.keep();
}

void Http1Parser::name_complete() {
  name_open_ = false;
  if (field_ == Field::host) authority_done_ = true;
  field_ = classify(name_.view());
  if (field_ == Field::credential) holds_credentials_ = true;
  if (field_ == Field::host && authority_done_) field_ = Field::other;
}

int Http1Parser::head_complete() {
  in_head_ = false;
  if (llhttp_.http_major != 1) {
    error_ = "not HTTP/1.0 or 1.1";
    stop_ = Stop::failed;
    return -1;
  }
  stop_ = Stop::head;
  return HPE_PAUSED;
}

Http1Parser::Field Http1Parser::classify(std::string_view name) const {
  const auto credential_if = [&](std::string_view lower) {
    return same_name(name, lower) ? Field::credential : Field::other;
  };
  if (kind_ == Kind::response) return credential_if("set-cookie");
  switch (name.size()) {
    case 4:
      return same_name(name, "host") ? Field::host : Field::other;
    case 6:
      return credential_if("cookie");
    case 9:
      return credential_if("x-api-key");
    case 12:
      return credential_if("x-auth-token");
    case 13:
      return credential_if("authorization");
    case 19:
      return credential_if("proxy-authorization");
    default:
      return Field::other;
  }
}

std::string_view Http1Parser::method() const {
  assert(kind_ == Kind::request);
  return llhttp_method_name(static_cast<llhttp_method_t>(llhttp_.method));
}

std::string_view Http1Parser::authority() const {
  return trimmed(authority_.view());
}

const HttpHead& Http1Parser::head() {
  assert(places_ && !in_head_);
  HttpHead& head = places_->head;
  head.method = kind_ == Kind::request ? method() : std::string_view();
  head.target = target();
  head.status = kind_ == Kind::response ? status() : 0;
  head.reason = places_->reason;
  head.version = 10 + llhttp_.http_minor;
  places_->list_fields();
  return head;
}

}  // namespace wiretape
