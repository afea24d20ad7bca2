// What the bytes of one connection have said so far, on the tape or in the run: how many requests
// were begun, how many final responses are complete, and from where on it is not HTTP/1 at all.
#pragma once

#include <cstdint>
#include <vector>

#include "proto/exchange.h"

namespace wiretape {

// Requests are numbered from 0 in their connection. Exchanges that no request began (a 408 on an
// idle connection) have no number and are not told.
class ConversationListener {
 public:
  virtual ~ConversationListener() = default;
  virtual void on_exchange(uint64_t request, const Exchange& exchange) = 0;
  virtual void on_request_end(uint64_t request) { (void)request; }
  virtual void on_response_end(uint64_t request) { (void)request; }

  // Asked once, when the conversation is made. Heads cost time, so only who compares them has them.
  virtual bool wants_heads() const { return false; }
  virtual void on_response_head(uint64_t request, const HttpHead& head) {
    (void)request, (void)head;
  }
  // Interim responses, too, and without being asked.
  virtual void on_response_begin(uint64_t request, uint32_t status, bool persistent) {
    (void)request, (void)status, (void)persistent;
  }
  virtual void on_response_body(uint64_t request, Bytes body) { (void)request, (void)body; }
};

class Conversation final : private ExchangeObserver {
 public:
  // The listener must outlive the conversation.
  Conversation(ConnectionId id, ConversationListener& listener);
  Conversation(const Conversation&) = delete;
  Conversation& operator=(const Conversation&) = delete;

  void chunk(Direction direction, int64_t time_ns, Bytes bytes);
  void gap(Direction direction, int64_t time_ns, uint64_t length);
  void half_closed(Direction direction, int64_t time_ns);
  void closed(int64_t time_ns);  // at most once; exchanges under way are handed out

  uint64_t requests() const { return requests_; }    // begun
  uint64_t responses() const { return responses_; }  // final and complete
  uint64_t length(Direction d) const { return length_[index_of(d)]; }
  // Where the last complete final response ended in the server's stream.
  uint64_t last_response_end() const { return last_response_end_; }

  bool is_opaque(Direction d) const { return opaque_from_[index_of(d)] != never; }
  // Bytes that are not HTTP/1, and those among the last chunk's.
  uint64_t opaque_length(Direction d) const;
  Bytes opaque_part(Direction d, Bytes last_chunk) const;
  bool is_tls() const { return tls_; }
  // The client has begun with what may become a TLS hello: until more comes, nobody can tell.
  bool is_undecided() const {
    return length(Direction::client_to_server) > 0 && tracker_.protocol() == Protocol::unknown;
  }
  bool upgraded() const { return upgraded_; }  // opaque by 101 or CONNECT

  // Offsets at which the last client_to_server chunk began requests.
  const std::vector<uint64_t>& begun() const { return begun_; }
  // Offsets behind the heads that ended in it.
  const std::vector<uint64_t>& heads_ended() const { return heads_ended_; }

 private:
  static constexpr uint64_t never = UINT64_MAX;

  void on_exchange(const Exchange& exchange) override;
  void on_protocol(const ProtocolFound& found) override;
  void on_request_begin(uint64_t index, uint64_t offset) override;
  void on_request_head_end(uint64_t index, uint64_t offset) override;
  void on_request_end(uint64_t index, uint64_t offset) override;
  bool wants_heads() const override { return listener_.wants_heads(); }
  void on_response_head(uint64_t index, const HttpHead& head) override;
  void on_response_begin(uint64_t index, uint32_t status, bool persistent) override;
  void on_body(uint64_t index, Direction direction, Bytes body) override;
  void on_response_end(uint64_t index, uint64_t offset) override;
  void note_opaque(Direction direction, uint64_t offset);
  void drop_opaque_requests();

  // Invariant: exchanges_ <= requests_, and an opaque direction began at or before its length.
  ConversationListener& listener_;
  ExchangeTracker tracker_;
  std::vector<uint64_t> begun_;
  std::vector<uint64_t> heads_ended_;
  uint64_t length_[2] = {0, 0};
  uint64_t opaque_from_[2] = {never, never};
  uint64_t requests_ = 0;
  uint64_t requests_ended_ = 0;
  uint64_t responses_ = 0;
  uint64_t exchanges_ = 0;
  uint64_t last_response_end_ = 0;
  bool tls_ = false;
  bool upgraded_ = false;
};

}  // namespace wiretape
