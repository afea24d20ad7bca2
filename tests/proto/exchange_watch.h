// Watches an ExchangeTracker for the tests: keeps what it is told as text that can be compared, and
// holds it to its promise that no byte is unaccounted for.
#pragma once

#include <cstdint>
#include <map>
#include <sstream>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "proto/exchange.h"

namespace wiretape {

class ExchangeWatch : public ExchangeObserver {
 public:
  explicit ExchangeWatch(bool with_heads = true) : heads_(with_heads) {}

  bool wants_heads() const override { return heads_; }
  void on_exchange(const Exchange& e) override { exchanges.push_back(e); }
  void on_protocol(const ProtocolFound& f) override { found.push_back(f); }
  void on_request_begin(uint64_t index, uint64_t offset) override { say("begin", index, offset); }
  void on_request_end(uint64_t index, uint64_t offset) override { say("sent", index, offset); }
  void on_response_end(uint64_t index, uint64_t offset) override { say("answered", index, offset); }

  void on_request_head(uint64_t index, const HttpHead& head) override {
    heads[{index, 0}] += std::string(head.method) + " " + std::string(head.target) + fields(head);
  }
  void on_response_head(uint64_t index, const HttpHead& head) override {
    interims += head.status / 100 == 1 && head.status != 101;
    heads[{index, 1}] +=
        std::to_string(head.status) + " " + std::string(head.reason) + fields(head);
  }
  void on_body(uint64_t index, Direction direction, Bytes body) override {
    bodies[{index, index_of(direction)}] += as_text(body);
  }

  const ProtocolFound* found_in(Direction direction) const {
    for (const ProtocolFound& f : found) {
      if (f.direction == direction) return &f;
    }
    return nullptr;
  }

  // Everything that must not depend on how the bytes were split: all but the times.
  std::string told() const {
    std::ostringstream out;
    for (const Exchange& e : exchanges) out << text_of(e) << '\n';
    for (const ProtocolFound& f : found) {
      out << name_of(f.direction) << " is " << name_of(f.protocol) << " from " << f.offset << " ("
          << f.reason << ") " << f.server_name << '\n';
    }
    for (const auto& [key, head] : heads) out << "head " << key.first << ": " << head << '\n';
    for (const auto& [key, body] : bodies) out << "body " << key.first << ": " << body << '\n';
    return out.str() + steps;
  }

  static std::string text_of(const Exchange& e) {
    std::ostringstream out;
    out << '#' << e.index << ' ' << e.method << ' ' << e.target << " host=" << e.authority << ' '
        << e.status << " interim=" << e.interim_responses << (e.has_request ? " request" : "")
        << (e.has_response ? " response" : "") << (e.holds_credentials ? " credentials" : "")
        << " | " << text_of(e.request) << " | " << text_of(e.response);
    return out.str();
  }

  static std::string text_of(const MessageExtent& m) {
    std::ostringstream out;
    out << m.begin << '-' << m.head_end << '-' << m.end << " body=" << m.body_bytes << '/'
        << std::hex << m.body_digest[0] << '/' << m.body_digest[1]
        << (m.complete ? " complete" : "");
    return out.str();
  }

  // What of the stream is in no extent and not opaque. Says "overlap" when two claim one byte.
  std::string unclaimed(Direction direction, std::string_view stream) const {
    std::string left;
    uint64_t at = 0;
    for (const Exchange& e : exchanges) {
      const MessageExtent& m = direction == Direction::client_to_server ? e.request : e.response;
      if (m.end == 0) continue;
      if (m.begin < at || m.end < m.begin) return "overlap at " + std::to_string(m.begin);
      left += stream.substr(at, m.begin - at);
      at = m.end;
    }
    const ProtocolFound* f = found_in(direction);
    const uint64_t end = f != nullptr ? f->offset : stream.size();
    if (end < at || end > stream.size()) return "overlap at " + std::to_string(end);
    return left + std::string(stream.substr(at, end - at));
  }

  std::vector<Exchange> exchanges;
  std::vector<ProtocolFound> found;
  std::map<std::pair<uint64_t, size_t>, std::string> heads, bodies;
  std::string steps;
  size_t interims = 0;

 private:
  void say(std::string_view what, uint64_t index, uint64_t offset) {
    steps += std::string(what) + ' ' + std::to_string(index) + '@' + std::to_string(offset) + '\n';
  }

  static std::string fields(const HttpHead& head) {
    std::string out = " v" + std::to_string(head.version);
    for (const HttpField& f : head.fields) {
      out += " [" + std::string(f.name) + "=" + std::string(f.value) + "]";
    }
    return out;
  }

  bool heads_;
};

}  // namespace wiretape
