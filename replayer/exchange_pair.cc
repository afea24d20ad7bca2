// Two answers are the same when status, headers and body are, and they are looked at in this order,
// because each explains what comes behind it: another status has another body. What is reported is
// the first of the three that differs.
//
//   recorded   head --- body --- outcome -+
//                |        |               +-> status? header? body?
//   replayed   head --- body --- outcome -+
//
// An answer that was cut off on the tape is compared as far as its head.
//
// Pairs are used again for other exchanges, so that comparing what is the same allocates nothing.
#include "replayer/exchange_pair.h"

#include <algorithm>
#include <cassert>

#include "replayer/quote.h"

namespace wiretape {
namespace {

constexpr size_t value_text_max = 200;  // of a header, in a report
constexpr size_t url_text_max = 2000;
constexpr size_t retained_bytes_max = 4096;  // of one text, from use to use

bool is_interim(uint32_t status) {
  return status / 100 == 1 && status != 101;
}

// RFC 8259 section 11 and RFC 6839 section 3.1. Only what has no content coding.
bool is_json(const HeaderFields& fields) {
  std::string_view type = fields.value_of("content-type");
  type = type.substr(0, type.find(';'));
  while (type.ends_with(' ')) type.remove_suffix(1);
  const std::string_view coding = fields.value_of("content-encoding");
  if (!coding.empty() && !same_name(coding, "identity")) return false;
  const std::string_view suffix = type.substr(type.size() - std::min<size_t>(type.size(), 5));
  return same_name(type, "application/json") || same_name(suffix, "+json");
}

void assign(std::string& to, const std::string& from) {
  if (to.capacity() > retained_bytes_max) to = std::string();
  to = from;
}

}  // namespace

void ExchangePair::head(Side side, const HttpHead& head) {
  Answer& of = answer(side);
  if (of.known || is_interim(head.status)) return;
  of.fields.assign(head);
  if (compares_) body_.announce(is_json(of.fields));
}

void ExchangePair::body(Side side, Bytes bytes) {
  if (!answer(side).known && compares_) body_.feed(side, bytes);
}

void ExchangePair::recorded(const Exchange& exchange) {
  Answer& of = answer(Side::recorded);
  assert(!of.known);
  of.known = true;
  of.complete = exchange.has_response && exchange.response.complete;
  of.status = exchange.status;
  assign(method_, exchange.method);
  assign(target_, exchange.target);
  assign(authority_, exchange.authority);
  if (!of.complete) drop_bodies();
}

void ExchangePair::replayed(const Exchange& exchange) {
  Answer& of = answer(Side::replayed);
  assert(!of.known);
  of.known = of.complete = true;
  of.status = exchange.status;
}

void ExchangePair::replayed_not(const std::string& reason, bool sent, uint32_t status) {
  Answer& of = answer(Side::replayed);
  assert(!of.known);
  of.known = true;
  of.status = status;
  failure_ = reason.empty() ? "no_answer" : reason;
  sent_ = sent;
  drop_bodies();
}

void ExchangePair::drop_bodies() {
  compares_ = false;
  body_.reset();
}

void ExchangePair::name_request(Difference& difference) const {
  const bool is_path = target_.starts_with('/');
  const std::string url =
      is_path && !authority_.empty() ? "http://" + authority_ + target_ : target_;
  difference.method = method_;
  difference.url = one_line(url, url_text_max);
}

bool ExchangePair::same_head(const CompareOptions& options, Difference& difference,
                             bool bodiless) const {
  const Answer& was = answers_[0];
  const Answer& is = answers_[1];
  if (was.status != is.status && !options.ignore_status) {
    difference.what = "status";
    difference.recorded = std::to_string(was.status);
    difference.replayed = std::to_string(is.status);
    return false;
  }
  const auto header = compare_headers(options.headers, was.fields, is.fields, bodiless);
  if (header) {
    difference.what = "header";
    difference.header = one_line(header->name, value_text_max);
    difference.headers = header->names;
    difference.recorded = one_line(header->recorded, value_text_max);
    difference.replayed = one_line(header->replayed, value_text_max);
    return false;
  }
  return true;
}

bool ExchangePair::same(const CompareOptions& options, Difference& difference) {
  assert(answers_[0].complete && answers_[1].complete);
  const bool bodiless = body_.length(Side::recorded) + body_.length(Side::replayed) == 0;
  if (!same_head(options, difference, bodiless)) return false;
  difference.what = "body";
  return body_.same(options.ignored_json, difference);
}

size_t ExchangePair::memory_bytes() const {
  size_t bytes = body_.held_bytes() + failure_.capacity();
  for (const Answer& of : answers_) bytes += of.fields.memory_bytes();
  return bytes + method_.capacity() + target_.capacity() + authority_.capacity();
}

void ExchangePair::reset() {
  for (Answer& of : answers_) {
    of.known = of.complete = false;
    of.status = 0;
    of.fields.clear();
  }
  body_.reset();
  compares_ = sent_ = true;
  failure_.clear();
}

}  // namespace wiretape
