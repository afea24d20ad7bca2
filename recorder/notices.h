// Tells the user, once a listener and kind, of the mistakes of a first run: a client that speaks
// TLS to us, and one that uses us as its forward proxy. Both are recorded all the same.
//
// One thread, the recorder's.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "proto/event.h"

namespace wiretape {

class Notices {
 public:
  struct Pair {
    std::string listener;  // "127.0.0.1:8080"
    std::string upstream;  // "app:3000"
  };

  explicit Notices(std::vector<Pair> pairs);

  void on_protocol(uint32_t listener, const ProtocolFound& found);
  void on_exchange(uint32_t listener, const Exchange& exchange);

 private:
  struct Told {
    bool tls = false;
    bool forward_proxy = false;
  };
  std::vector<Pair> pairs_;
  std::vector<Told> told_;
};

}  // namespace wiretape
