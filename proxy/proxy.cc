// Who tells whom: workers call the WorkerOwner functions on their own threads; each of these posts
// to the main loop before it touches anything, except the count of connections, which is atomic.
//
// Draining: the relays do not know HTTP, the recorder does. So the recorder is asked, ten times a
// second, which connections are between two exchanges, and a worker ends those whose streams are no
// longer than the recorder has seen: a request that came meanwhile is never cut.
#include "proxy/proxy.h"

#include "base/clock.h"
#include "base/log.h"

namespace wiretape {
namespace {

constexpr int64_t drain_round_ns = 100 * ns_per_ms;
constexpr int64_t tell_again_ns = 5 * ns_per_s;

}  // namespace

Result<std::unique_ptr<Proxy>> Proxy::create(Loop& loop, ProxyOptions options) {
  auto acceptor = Acceptor::create(loop, options);
  if (!acceptor) return acceptor.error();
  for (const ProxyPair& pair : options.pairs) {
    if (!(*acceptor)->listens_on(pair.upstream)) continue;
    return Error{ErrorSource::usage,
                 fmt::format("--upstream {} is where we listen ourselves: every connection would "
                             "come back to us for ever",
                             pair.upstream.text())};
  }
  return std::unique_ptr<Proxy>(new Proxy(loop, std::move(options), std::move(acceptor).value()));
}

Proxy::Proxy(Loop& loop, ProxyOptions options, std::unique_ptr<Acceptor> acceptor)
    : loop_(loop),
      options_(std::move(options)),
      acceptor_(std::move(acceptor)),
      trouble_(options_.pairs.size()) {}

Proxy::~Proxy() = default;

void Proxy::start(Recorder& recorder) {
  recorder_ = &recorder;
  for (size_t i = 0; i < options_.threads; ++i) {
    Loop* loop = i == 0 ? &loop_ : nullptr;
    workers_.push_back(std::make_unique<Worker>(loop, options_, recorder, i, *this));
  }
  acceptor_->start(
      [this](const Listener::Accepted& accepted, uint32_t pair) {
        workers_[next_worker_]->take(accepted, pair);
        next_worker_ = (next_worker_ + 1) % workers_.size();
      },
      [this] { return may_accept(); });
}

// Only the main loop's own tap can be asked here; a full queue of another loop holds its relays,
// and new ones wait to read there.
bool Proxy::may_accept() {
  return workers_[0]->tap().room_for_connection();
}

// ---------------------------------------------------------------------------------- told by
// workers

void Proxy::on_connection_gone() {
  acceptor_->connection_gone();
  if (draining_ && acceptor_->open_connections() == 0) loop_.post([this] { end_when_empty(); });
}

void Proxy::on_upstream_failed(uint32_t pair, const std::string& error) {
  ++upstream_failures_;
  loop_.post([this, pair, error] { tell_upstream_failure(pair, error); });
}

void Proxy::on_hanging_disk() {
  warn(
      "the recorder has not moved for 10 s (is the disk hanging?): traffic goes on, and what "
      "cannot be stored is counted as gaps (--overload skip)");
}

void Proxy::on_room() {
  loop_.post([this] { acceptor_->resume(); });
}

void Proxy::tell_upstream_failure(uint32_t pair, const std::string& error) {
  UpstreamTrouble& trouble = trouble_[pair];
  const int64_t now_ns = monotonic_ns();
  if (trouble.told_ns != 0 && now_ns - trouble.told_ns < tell_again_ns) {
    ++trouble.untold;
    return;
  }
  const std::string more =
      trouble.untold == 0 ? "" : fmt::format(" (and {} times before)", trouble.untold);
  warn(
      "a client was closed, because its upstream cannot be reached: {}{}; is it running, and is "
      "--upstream right?",
      error, more);
  trouble = {now_ns, 0};
}

// ---------------------------------------------------------------------------------- the end

void Proxy::drain(int64_t patience_ns, std::function<void()> on_ended) {
  acceptor_->stop();
  on_ended_ = std::move(on_ended);
  draining_ = true;
  drain_deadline_ns_ = monotonic_ns() + patience_ns;
  drain_timer_ = std::make_unique<Timer>(loop_, [this] { drain_round(); });
  drain_timer_->start_every(drain_round_ns);
  drain_round();
  end_when_empty();
}

void Proxy::drain_round() {
  if (monotonic_ns() >= drain_deadline_ns_) return end_now();
  recorder_->ask_for_idle([this](const std::vector<IdleConnection>& idle) {
    loop_.post([this, idle] {
      for (const auto& worker : workers_) worker->end_idle(idle, CloseHow::drain);
    });
  });
}

void Proxy::end_now() {
  for (const auto& worker : workers_) worker->end_all(CloseHow::drain);
}

void Proxy::end_when_empty() {
  if (!on_ended_ || acceptor_->open_connections() > 0) return;
  drain_timer_.reset();
  for (const auto& worker : workers_) worker->stop();
  std::exchange(on_ended_, nullptr)();
}

}  // namespace wiretape
