// Host names to addresses, without blocking the loop. Answers are cached for 5 s; one look-up per
// name is in flight at a time (getaddrinfo runs on libuv's four threads).
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/address.h"
#include "base/loop.h"
#include "base/result.h"

namespace wiretape {

class Resolver {
 public:
  static constexpr int64_t cache_ns = 5'000'000'000;
  using Answer = std::function<void(const Result<std::vector<Address>>&)>;

  // `source` names the side in errors. Look-ups in flight when it is destroyed are not answered.
  Resolver(Loop& loop, ErrorSource source) : loop_(loop), source_(source) {}
  Resolver(const Resolver&) = delete;
  Resolver& operator=(const Resolver&) = delete;

  // Calls `answer` with all addresses of the endpoint, in the order to try them: at once when the
  // endpoint is an address or the answer is cached, else later on the loop.
  void resolve(const Endpoint& endpoint, Answer answer);

 private:
  struct Name;
  struct Query;
  void look_up(const std::string& host);
  void answered(const std::string& host, int status, const addrinfo* list);

  struct Name {
    std::vector<Address> addresses;  // with port 0
    int64_t known_until_ns = 0;
    struct Waiting {
      uint16_t port;
      Answer answer;
    };
    std::vector<Waiting> waiting;  // not empty: a look-up is in flight
  };

  Loop& loop_;
  ErrorSource source_;
  std::map<std::string, Name> names_;
  // What a look-up in flight knows of us; empty when we are gone.
  std::shared_ptr<Resolver*> self_ = std::make_shared<Resolver*>(this);
};

}  // namespace wiretape
