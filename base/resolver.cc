// Look-ups by uv_getaddrinfo. A busy proxy asks for the same upstream name with every connection;
// without the cache each of them would wait for one of libuv's four worker threads.
//
// Failures are not cached: the next connection asks again, as a client without a proxy would.
#include "base/resolver.h"

#include <fmt/core.h>
#include <netdb.h>

#include "base/clock.h"

namespace wiretape {
namespace {

std::vector<Address> with_port(std::vector<Address> addresses, uint16_t port) {
  for (Address& address : addresses) address.set_port(port);
  return addresses;
}

}  // namespace

struct Resolver::Query {
  uv_getaddrinfo_t request;
  std::weak_ptr<Resolver*> resolver;
  std::string host;
};

void Resolver::resolve(const Endpoint& endpoint, Answer answer) {
  if (endpoint.is_unix()) {
    return answer(std::vector<Address>{Address::from_unix_path(endpoint.unix_path)});
  }
  const Address ip = Address::from_ip(endpoint.host, endpoint.port);
  if (ip.known()) return answer(std::vector<Address>{ip});

  Name& name = names_[endpoint.host];
  if (monotonic_ns() < name.known_until_ns) {
    return answer(with_port(name.addresses, endpoint.port));
  }
  const bool in_flight = !name.waiting.empty();
  name.waiting.push_back({endpoint.port, std::move(answer)});
  if (!in_flight) look_up(endpoint.host);
}

void Resolver::look_up(const std::string& host) {
  auto* query = new Query{{}, self_, host};
  query->request.data = query;
  addrinfo hints{};
  hints.ai_family = AF_UNSPEC;
  hints.ai_socktype = SOCK_STREAM;
  const auto done = [](uv_getaddrinfo_t* request, int status, addrinfo* list) {
    const std::unique_ptr<Query> q(static_cast<Query*>(request->data));
    if (const auto resolver = q->resolver.lock()) (*resolver)->answered(q->host, status, list);
    uv_freeaddrinfo(list);
  };
  const int status =
      uv_getaddrinfo(loop_.raw(), &query->request, done, host.c_str(), nullptr, &hints);
  if (status != 0) {
    delete query;
    loop_.post([resolver = std::weak_ptr(self_), host, status] {
      if (const auto self = resolver.lock()) (*self)->answered(host, status, nullptr);
    });
  }
}

void Resolver::answered(const std::string& host, int status, const addrinfo* list) {
  Name& name = names_[host];
  std::vector<Name::Waiting> waiting;
  waiting.swap(name.waiting);
  if (status != 0 || list == nullptr) {
    const Error error{source_, fmt::format("cannot resolve {}: {} (is the name right?)", host,
                                           status == 0 ? "no address" : uv_strerror(status))};
    for (auto& w : waiting) w.answer(error);
    return;
  }
  name.addresses.clear();
  for (const addrinfo* i = list; i != nullptr; i = i->ai_next) {
    name.addresses.emplace_back(i->ai_addr, i->ai_addrlen);
  }
  name.known_until_ns = monotonic_ns() + cache_ns;
  const std::vector<Address> addresses = name.addresses;
  for (auto& w : waiting) w.answer(with_port(addresses, w.port));
}

}  // namespace wiretape
