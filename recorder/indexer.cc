// One ExchangeTracker a connection, in a hash table. 9,000 idle keep-alive connections are common,
// so the parsers of a connection that fell silent between two exchanges are given back (park_quiet,
// many times a second) and made again with its next byte.
//
// Invariant: current_ points to the connection of the call under way, and only during it.
#include "recorder/indexer.h"

#include <cassert>
#include <utility>

namespace wiretape {

Indexer::Indexer(bool parse, Notices& notices, Emit emit)
    : parse_(parse), notices_(notices), emit_(std::move(emit)) {}

void Indexer::opened(ConnectionId id, uint32_t listener) {
  connections_.try_emplace(id, id, static_cast<ExchangeObserver&>(*this), listener);
}

void Indexer::chunk(int64_t time_ns, ConnectionId id, Direction direction, Bytes bytes) {
  const auto found = connections_.find(id);
  if (found == connections_.end()) return;
  Connection& c = found->second;
  c.length[index_of(direction)] += bytes.size();
  if (!parse_) return;
  touch(id, c);
  now_ns_ = time_ns;
  current_ = &c;
  c.tracker.chunk(direction, time_ns, bytes);
  current_ = nullptr;
}

void Indexer::gap(int64_t time_ns, ConnectionId id, Direction direction, uint64_t length) {
  const auto found = connections_.find(id);
  if (found == connections_.end()) return;
  found->second.length[index_of(direction)] += length;
  if (!parse_) return;
  now_ns_ = time_ns;
  current_ = &found->second;
  found->second.tracker.gap(direction, time_ns, length);
  current_ = nullptr;
}

void Indexer::half_closed(int64_t time_ns, ConnectionId id, Direction direction) {
  const auto found = connections_.find(id);
  if (found == connections_.end() || !parse_) return;
  now_ns_ = time_ns;
  current_ = &found->second;
  found->second.tracker.half_closed(direction, time_ns);
  current_ = nullptr;
}

Protocol Indexer::closed(int64_t time_ns, ConnectionId id) {
  const auto found = connections_.find(id);
  if (found == connections_.end()) return Protocol::unknown;
  now_ns_ = time_ns;
  current_ = &found->second;
  if (parse_) found->second.tracker.closed(time_ns);
  current_ = nullptr;
  const Protocol protocol = found->second.tracker.protocol();
  connections_.erase(found);
  return protocol;
}

void Indexer::touch(ConnectionId id, Connection& c) {
  c.quiet = false;
  if (std::exchange(c.awake, true)) return;
  awake_.push_back(id);
}

void Indexer::park_quiet() {
  std::erase_if(awake_, [this](ConnectionId id) {
    const auto found = connections_.find(id);
    if (found == connections_.end()) return true;
    Connection& c = found->second;
    if (!std::exchange(c.quiet, true)) return false;
    c.tracker.park();
    c.awake = !c.tracker.parked();
    return !c.awake;
  });
}

std::vector<Indexer::Idle> Indexer::idle_connections() const {
  std::vector<Idle> idle;
  for (const auto& [id, c] : connections_) {
    if (c.tracker.idle()) idle.push_back({id, {c.length[0], c.length[1]}});
  }
  return idle;
}

void Indexer::on_exchange(const Exchange& exchange) {
  assert(current_ != nullptr);
  ++exchanges_;
  requests_ += exchange.has_request;
  responses_ += exchange.has_response;
  with_credentials_ += exchange.holds_credentials;
  notices_.on_exchange(current_->listener, exchange);
  emit_(now_ns_, exchange);
}

void Indexer::on_protocol(const ProtocolFound& found) {
  assert(current_ != nullptr);
  notices_.on_protocol(current_->listener, found);
  emit_(now_ns_, found);
}

}  // namespace wiretape
