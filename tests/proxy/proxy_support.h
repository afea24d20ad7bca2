// A proxy with its recorder and its tape, run by a test between plain sockets.
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "proxy/proxy.h"
#include "tests/support/loop_support.h"
#include "tests/support/recorder_support.h"
#include "tests/support/tape_support.h"

namespace wiretape::test {

class RunningProxy {
 public:
  struct Settings {
    uint16_t upstream_port = 0;
    size_t threads = 1;
    size_t connections_max = 0;
    int64_t idle_timeout_ns = 0;
    int64_t connect_timeout_ns = 5 * ns_per_s;
    size_t queue_bytes_max = EventQueue::capacity_bytes_default;
  };

  explicit RunningProxy(const Settings& settings) {
    ProxyOptions options;
    ProxyPair pair;
    pair.listen.host = pair.upstream.host = "127.0.0.1";
    pair.upstream.port = settings.upstream_port;
    options.pairs = {pair};
    options.threads = settings.threads;
    options.connections_max = settings.connections_max;
    options.idle_timeout_ns = settings.idle_timeout_ns;
    options.connect_timeout_ns = settings.connect_timeout_ns;
    auto proxy = Proxy::create(loop, options);
    must(proxy.ok());
    proxy_ = std::move(proxy).value();
    RecorderOptions recording;
    recording.path = tape();
    recording.loops = settings.threads;
    recording.queue_bytes_max = settings.queue_bytes_max;
    recording.upstreams = {pair.upstream.text()};
    recording.listeners = {proxy_->addresses()[0] + " -> " + pair.upstream.text()};
    auto recorder = Recorder::start(std::move(recording));
    must(recorder.ok());
    recorder_ = std::move(recorder).value();
    proxy_->start(*recorder_);
  }
  ~RunningProxy() { end(); }

  std::string tape() const { return dir_ / "t.tape"; }
  uint16_t port() const {
    const std::string address = proxy_->addresses()[0];
    return static_cast<uint16_t>(std::stoi(address.substr(address.rfind(':') + 1)));
  }
  Proxy& proxy() { return *proxy_; }
  Recorder& recorder() { return *recorder_; }

  // Drains, and gives the tape.
  ToldTape end(int64_t drain_ns = 0) {
    if (!proxy_) return {};
    bool ended = false;
    proxy_->drain(drain_ns, [&] { ended = true; });
    EXPECT_TRUE(run_until(loop, [&] { return ended; }));
    outcome = recorder_->finish(30 * ns_per_s);
    proxy_.reset();
    return tell_tape(tape());
  }

  Loop loop;
  Recorder::Outcome outcome = Recorder::Outcome::incomplete;

 private:
  TempDir dir_;
  std::unique_ptr<Recorder> recorder_;
  std::unique_ptr<Proxy> proxy_;
};

}  // namespace wiretape::test
