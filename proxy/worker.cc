// Relays of one loop. What other threads want of them is posted to the loop, so nothing here is
// locked.
//
// Ten times a second a sweep looks at what no event tells: relays that were silent for too long,
// half-closed ones whose peer has reset since, and a recorder that does not move.
#include "proxy/worker.h"

#include <algorithm>
#include <cassert>

#include "base/clock.h"

namespace wiretape {

Worker::Worker(Loop* loop, const ProxyOptions& options, Recorder& recorder, size_t index,
               WorkerOwner& owner)
    : options_(options),
      owner_(owner),
      own_loop_(loop == nullptr ? std::make_unique<Loop>() : nullptr),
      loop_(loop == nullptr ? own_loop_.get() : loop),
      tap_(recorder.tap(index)),
      resolver_(*loop_, ErrorSource::upstream),
      context_{*loop_, tap_, resolver_, options.connect_timeout_ns},
      sweep_timer_(std::make_unique<Timer>(*loop_, [this] { sweep(); })) {
  loop_->before_wait([this] { tap_.before_wait(); });
  recorder.on_room(index, [this] { loop_->post([this] { room_again(); }); });
  sweep_timer_->start_every(sweep_ns);
  if (own_loop_) {
    thread_ = std::thread([this] { loop_->run(); });
  } else {
    sweep_timer_->unref();
  }
}

Worker::~Worker() {
  assert(relays_.empty());
  if (thread_.joinable()) thread_.join();
  loop_->before_wait(nullptr);
  sweep_timer_.reset();
}

void Worker::on_this_thread(std::function<void()> task) {
  if (own_loop_) {
    loop_->post(std::move(task));
  } else {
    task();
  }
}

void Worker::stop() {
  on_this_thread([this] {
    tap_.finish();
    sweep_timer_->stop();  // nothing keeps the loop running now
    sweep_timer_->unref();
    if (own_loop_) loop_->stop();
  });
  if (thread_.joinable()) thread_.join();
}

void Worker::take(const Listener::Accepted& accepted, uint32_t pair) {
  on_this_thread([this, accepted, pair] { add(accepted, pair); });
}

void Worker::add(const Listener::Accepted& accepted, uint32_t pair) {
  auto relay = std::make_unique<Relay>(context_, *this, pair);
  relay->index_in_owner = relays_.size();
  Relay& added = *relay;
  relays_.push_back(std::move(relay));
  added.start(accepted, options_.pairs[pair].upstream);
}

void Worker::on_relay_gone(Relay& relay) {
  const size_t index = relay.index_in_owner;
  assert(relays_[index].get() == &relay);
  std::swap(relays_[index], relays_.back());
  relays_[index]->index_in_owner = index;
  relays_.pop_back();
  owner_.on_connection_gone();
}

void Worker::on_upstream_failed(const Relay& relay, const DialOutcome& outcome) {
  owner_.on_upstream_failed(relay.pair(), outcome.error);
}

void Worker::end_all(CloseHow how) {
  on_this_thread([this, how] {
    for (const auto& relay : relays_) relay->end(how);
  });
}

void Worker::end_idle(std::vector<IdleConnection> idle, CloseHow how) {
  std::sort(idle.begin(), idle.end(),
            [](const auto& a, const auto& b) { return a.connection < b.connection; });
  on_this_thread([this, idle = std::move(idle), how] {
    for (const auto& relay : relays_) {
      const TappedConnection& tapped = relay->tapped();
      const auto found = std::lower_bound(
          idle.begin(), idle.end(), tapped.id,
          [](const IdleConnection& i, ConnectionId id) { return i.connection < id; });
      if (found == idle.end() || found->connection != tapped.id) continue;
      const bool unmoved =
          found->length[0] == tapped.length[0] && found->length[1] == tapped.length[1];
      if (unmoved && relay->flushed()) relay->end(how);
    }
  });
}

// ---------------------------------------------------------------------------------- sweeps

void Worker::room_again() {
  tap_.room_again();
  resume_all();
  owner_.on_room();
}

void Worker::resume_all() {
  for (const auto& relay : relays_) relay->resume_reading();
}

void Worker::sweep() {
  const int64_t now_ns = monotonic_ns();
  for (const auto& relay : relays_) {
    if (relay->ending()) continue;
    if (options_.idle_timeout_ns > 0) relay->notice_delivery(now_ns);
    const int64_t silent_ns = now_ns - relay->last_activity_ns();
    const bool held_by_us = tap_.waiting();
    if (options_.idle_timeout_ns > 0 && silent_ns > options_.idle_timeout_ns && !held_by_us) {
      relay->end(CloseHow::timeout);
    } else if (relay->half_closed() && silent_ns > sweep_ns) {
      relay->look_for_reset();
    }
  }
  if (tap_.gave_up_waiting(now_ns)) {
    owner_.on_hanging_disk();
    room_again();
  }
}

}  // namespace wiretape
