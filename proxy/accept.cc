// At the limit nothing is accepted: clients wait in the kernel's queue and get in when another
// leaves. That is what they would see of a busy server, and none is lost. Each connection needs two
// descriptors, and some are kept for the rest: connections_max = (limit - 64) / 2.
#include "proxy/accept.h"

#include <netdb.h>

#include <algorithm>

#include "base/descriptors.h"
#include "base/log.h"

namespace wiretape {
namespace {

constexpr size_t descriptors_kept = 64;
// The endings of so many connections have their room in a loop's event queue.
constexpr size_t connections_per_loop_max = 20'000;

size_t descriptor_pairs_max() {
  const size_t limit = raise_descriptor_limit();
  return limit <= descriptors_kept + 2 ? 1 : (limit - descriptors_kept) / 2;
}

// Listening happens before the loop runs, so a name is looked up on the spot.
Result<Address> address_to_listen_on(const Endpoint& endpoint) {
  if (endpoint.is_unix()) return Address::from_unix_path(endpoint.unix_path);
  const Address ip = Address::from_ip(endpoint.host, endpoint.port);
  if (ip.known()) return ip;
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_PASSIVE;
  addrinfo* list = nullptr;
  const int status = getaddrinfo(endpoint.host.c_str(), nullptr, &hints, &list);
  if (status != 0) {
    return Error{ErrorSource::downstream,
                 fmt::format("cannot listen on {}: {} (give an address of this machine)",
                             endpoint.text(), gai_strerror(status))};
  }
  Address found(list->ai_addr, list->ai_addrlen);
  freeaddrinfo(list);
  found.set_port(endpoint.port);
  return found;
}

}  // namespace

Result<std::unique_ptr<Acceptor>> Acceptor::create(Loop& loop, const ProxyOptions& options) {
  const size_t possible =
      std::min(descriptor_pairs_max(), options.threads * connections_per_loop_max);
  const size_t asked = options.connections_max;
  if (asked > possible) {
    warn(
        "--connections-max {} is more than can be had; it is {} now "
        "(raise it with ulimit -n)",
        asked, possible);
  }
  const size_t most = asked == 0 ? possible : std::min(asked, possible);
  auto acceptor = std::unique_ptr<Acceptor>(new Acceptor(loop, most));
  for (const ProxyPair& pair : options.pairs) {
    const auto address = address_to_listen_on(pair.listen);
    if (!address) return address.error();
    auto listener = Listener::create(loop, *address);
    if (!listener) return listener.error();
    acceptor->addresses_.push_back((*listener)->address().text());
    acceptor->listeners_.push_back(std::move(listener).value());
  }
  return acceptor;
}

void Acceptor::start(OnAccepted on_accepted, MayAccept may_accept) {
  on_accepted_ = std::move(on_accepted);
  may_accept_ = std::move(may_accept);
  for (uint32_t pair = 0; pair < listeners_.size(); ++pair) {
    listeners_[pair]->on_accept([this, pair](const auto& a) { accepted(a, pair); });
    listeners_[pair]->on_trouble([](const std::string& what) { warn("{}", what); });
  }
  resume();
}

void Acceptor::stop() {
  paused_ = true;
  listeners_.clear();
}

void Acceptor::pause() {
  paused_ = true;
  for (const auto& listener : listeners_) listener->pause();
}

void Acceptor::resume() {
  if (!paused_ || listeners_.empty()) return;
  if (open_connections() >= connections_max_ || !may_accept_()) return;
  paused_ = false;
  for (const auto& listener : listeners_) listener->resume();
}

void Acceptor::accepted(const Listener::Accepted& accepted, uint32_t pair) {
  const size_t open = open_.fetch_add(1, std::memory_order_relaxed) + 1;
  on_accepted_(accepted, pair);
  if (open >= connections_max_) {
    full_.store(true, std::memory_order_seq_cst);
    pause();
    if (!std::exchange(limit_told_, true)) {
      warn(
          "{} connections are open, the most allowed (--connections-max): further clients wait "
          "until one leaves",
          connections_max_);
    }
    // One may have left between the count and the pause.
    if (open_.load(std::memory_order_seq_cst) < connections_max_) resume();
  } else if (!may_accept_()) {
    pause();
  }
}

void Acceptor::connection_gone() {
  open_.fetch_sub(1, std::memory_order_seq_cst);
  if (full_.load(std::memory_order_seq_cst) && full_.exchange(false)) {
    loop_.post([this] { resume(); });
  }
}

bool Acceptor::listens_on(const Endpoint& endpoint) const {
  const std::string ip = endpoint.host == "localhost" ? "127.0.0.1" : endpoint.host;
  const Address address = endpoint.is_unix() ? Address::from_unix_path(endpoint.unix_path)
                                             : Address::from_ip(ip, endpoint.port);
  return std::any_of(listeners_.begin(), listeners_.end(), [&](const auto& listener) {
    const Address& ours = listener->address();
    const bool wildcard = ours.ip() == "0.0.0.0" || ours.ip() == "::";
    const bool here = wildcard && address.is_loopback() && address.port() == ours.port();
    return address.known() && (address == ours || (here && address.family() != AF_UNIX));
  });
}

std::vector<std::string> Acceptor::addresses() const {
  return addresses_;
}

}  // namespace wiretape
