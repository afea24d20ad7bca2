// What each client has completed so far: a response, or one of its connections. A client's next
// connection follows from that, when its think time is kept.
//
// Kept twice, like Conversation: once fed by the tape, once by the run. Clients are numbered from
// 0. Times are on whichever clock feeds it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace wiretape {

class Clients {
 public:
  void completed(uint32_t client, int64_t time_ns) {
    if (client >= all_.size()) all_.resize(client + size_t{1});
    ++all_[client].count;
    all_[client].last_ns = time_ns;
  }
  uint64_t count(uint32_t client) const { return find(client).count; }
  int64_t last_ns(uint32_t client) const { return find(client).last_ns; }  // -1: never

 private:
  struct Client {
    uint64_t count = 0;
    int64_t last_ns = -1;
  };
  Client find(uint32_t client) const { return client < all_.size() ? all_[client] : Client{}; }

  std::vector<Client> all_;
};

}  // namespace wiretape
