// The recorder thread, which does everything that is too slow for a loop: parsing, compressing,
// writing. Its round: take what the queues hold, in order of time; let the sink store what is due;
// sleep.
//
//   tap 0 -> queue 0 -+
//   tap 1 -> queue 1 -+-> merge by time -> indexer -> tape_sink
//   tap 2 -> queue 2 -+
//
// Sleeping is where the cost hides. After a round that found events the thread naps for a few
// milliseconds, whatever comes: waking it for every chunk would cost more than recording it. Only a
// thread that found nothing sleeps until it is rung.
#include "recorder/recorder.h"

#include <fmt/core.h>
#include <pthread.h>
#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <cassert>
#include <condition_variable>
#include <cstring>
#include <mutex>
#include <random>
#include <thread>

#include "base/clock.h"
#include "base/log.h"
#include "proto/tape_format.h"
#include "recorder/event_merge.h"
#include "recorder/indexer.h"
#include "recorder/tape_sink.h"

namespace wiretape {
namespace {

constexpr int64_t nap_ns = 5 * ns_per_ms;
constexpr size_t round_bytes_max = 256 * 1024;
constexpr int64_t sleep_ns_max = 100 * ns_per_ms;
constexpr int64_t park_every_ns = 20 * ns_per_ms;

std::string new_tape_set() {
  std::random_device random;
  return fmt::format("{:08x}{:08x}{:08x}{:08x}", random(), random(), random(), random());
}

std::string host_name() {
  char name[256] = "";
  ::gethostname(name, sizeof(name) - 1);
  return name;
}

Header make_header(const RecorderOptions& options) {
  Header header;
  header.format_version = tape_format::version;
  header.tool_version = WIRETAPE_VERSION;
  header.wall_start_ns = wall_ns();
  header.host = host_name();
  header.listeners = options.listeners;
  header.tape_set = new_tape_set();
  header.indexed = options.index;
  return header;
}

std::vector<Notices::Pair> notice_pairs(const RecorderOptions& options) {
  std::vector<Notices::Pair> pairs;
  if (!options.advise) return pairs;
  for (size_t i = 0; i < options.listeners.size(); ++i) {
    const std::string& text = options.listeners[i];
    pairs.push_back({text.substr(0, text.find(" -> ")), options.upstreams[i]});
  }
  return pairs;
}

std::string address_text(Bytes payload, size_t index) {
  Address address;
  assert(payload.size() >= (index + 1) * sizeof(Address));
  std::memcpy(static_cast<void*>(&address), payload.data() + index * sizeof(Address),
              sizeof(Address));
  return address.text();
}

// The thread never takes the processor from one that is running when it wakes up.
void run_in_background() {
  const sched_param no_priority{};
  ::pthread_setschedparam(::pthread_self(), SCHED_BATCH, &no_priority);
}

}  // namespace

class Recorder::Impl : public RecorderBell {
 public:
  Impl(RecorderOptions options, std::unique_ptr<TapeWriter> writer, int64_t start_ns)
      : options_(std::move(options)),
        start_ns_(start_ns),
        sink_(std::move(writer), options_.level),
        notices_(notice_pairs(options_)),
        indexer_(options_.index, notices_,
                 [this](int64_t time_ns, const Event& event) { sink_.event(time_ns, event); }) {
    for (size_t i = 0; i < options_.loops; ++i) {
      taps_.push_back(std::make_unique<Tap>(options_.overload, options_.queue_bytes_max, ids_,
                                            *this, options_.loops > 1));
    }
    wakers_.resize(options_.loops);
  }

  void run_thread() {
    thread_ = std::thread([this] {
      ::pthread_setname_np(::pthread_self(), "wt-recorder");
      if (options_.in_background) run_in_background();
      run();
    });
  }

  // From any loop's thread. Cheap when the recorder is at work or napping.
  void ring() override {
    rings_.fetch_add(1);
    if (!asleep_.load()) return;
    const std::lock_guard lock(mutex_);
    rung_ = true;
    bell_.notify_one();
  }

  Tap& tap(size_t loop) { return *taps_[loop]; }
  void on_room(size_t loop, std::function<void()> wake) { wakers_[loop] = std::move(wake); }

  void ask_for_idle(std::function<void(std::vector<IdleConnection>)> answer) {
    {
      const std::lock_guard lock(mutex_);
      questions_.push_back(std::move(answer));
      rung_ = true;
    }
    bell_.notify_one();
  }

  Outcome finish(int64_t patience_ns) {
    std::unique_lock lock(mutex_);
    stopping_ = true;
    rung_ = true;
    bell_.notify_one();
    // A hanging disk is one that does not move: as long as the queues get shorter, we wait.
    size_t left = unread_bytes();
    int64_t moved_ns = monotonic_ns();
    while (!done_) {
      done_bell_.wait_for(lock, std::chrono::milliseconds(100));
      const int64_t now_ns = monotonic_ns();
      if (const size_t now_left = unread_bytes(); now_left != left) {
        left = now_left;
        moved_ns = now_ns;
      }
      if (!done_ && now_ns - moved_ns > patience_ns) {
        thread_.detach();
        return Outcome::hanging;
      }
    }
    lock.unlock();
    thread_.join();
    return whole_ ? Outcome::whole : Outcome::incomplete;
  }

  RecorderCounters counters() const {
    RecorderCounters c;
    const auto get = [](const auto& value) { return value.load(std::memory_order_relaxed); };
    c.connections = get(connections_);
    c.exchanges = get(exchanges_);
    c.bytes[0] = get(bytes_[0]);
    c.bytes[1] = get(bytes_[1]);
    c.bytes_not_recorded = get(bytes_not_recorded_);
    c.sends_not_recorded = get(sends_not_recorded_);
    c.stalls = get(stalls_);
    c.stalled_ns = get(stalled_ns_);
    c.exchanges_with_credentials = get(with_credentials_);
    c.stored_bytes = get(stored_bytes_);
    return c;
  }

 private:
  // -------------------------------------------------------------------------- the thread's round

  void run() {
    bool last_round = false;
    while (true) {
      const Drained drained = drain();
      look_after(monotonic_ns());
      if (last_round && drained == Drained::nothing) break;
      if (drained != Drained::not_all) last_round = sleep(drained == Drained::all);
    }
    for (const auto& tap : taps_) sink_.miss_sends(tap->lost_sends());
    whole_ = sink_.finish(since_start(monotonic_ns()), trailer()) && !skipped_after_hang();
    publish();
    const std::lock_guard lock(mutex_);
    done_ = true;
    done_bell_.notify_one();
  }

  enum class Drained { nothing, all, not_all };

  // At most a round's worth: in bulk the queues are never empty, and what is to be looked after,
  // loops that wait for room above all, cannot wait until they are.
  Drained drain() {
    merge_.begin_round();
    size_t bytes = 0;
    while (EventQueue* queue = merge_.earliest()) {
      const QueuedEvent& event = *queue->peek();
      bytes += event.size;
      handle(event);
      queue->pop();
      if (bytes >= round_bytes_max) return Drained::not_all;
    }
    return bytes > 0 ? Drained::all : Drained::nothing;
  }

  // What is due between events: blocks, sleeping parsers, waiting loops, questions.
  void look_after(int64_t now_ns) {
    sink_.tick(since_start(now_ns));
    if (sink_.failing() && !std::exchange(failure_told_, true) && options_.on_disk_failure) {
      options_.on_disk_failure();
    }
    if (now_ns - parked_ns_ >= park_every_ns) {
      parked_ns_ = now_ns;
      indexer_.park_quiet();
    }
    make_room_known();
    answer_questions();
    publish();
  }

  void make_room_known() {
    double level = 0;
    for (size_t i = 0; i < taps_.size(); ++i) {
      const EventQueue& queue = taps_[i]->queue();
      level = std::max(level, double(queue.used_bytes()) / double(queue.capacity_bytes()));
      if (!taps_[i]->wants_room() || queue.used_bytes() > queue.capacity_bytes() / 2) continue;
      taps_[i]->room_was_told();
      if (wakers_[i]) wakers_[i]();
    }
    sink_.set_queue_level(level);
  }

  void answer_questions() {
    std::vector<std::function<void(std::vector<IdleConnection>)>> questions;
    {
      const std::lock_guard lock(mutex_);
      questions.swap(questions_);
    }
    if (questions.empty()) return;
    std::vector<IdleConnection> idle;
    for (const Indexer::Idle& i : indexer_.idle_connections()) {
      idle.push_back({i.id, {i.length[0], i.length[1]}});
    }
    for (const auto& answer : questions) answer(idle);
  }

  // Returns true when the end was asked for.
  bool sleep(bool found) {
    std::unique_lock lock(mutex_);
    if (stopping_) return true;
    asleep_.store(!found);
    (void)rings_.load();                // see the note at rings_
    if (found || unread_bytes() > 0) {  // unread, but held back for the order of time
      bell_.wait_for(lock, std::chrono::nanoseconds(nap_ns), [this] { return rung_; });
    } else {
      sleep_until_rung(lock);
    }
    asleep_.store(false);
    rung_ = false;
    return stopping_;
  }

  void sleep_until_rung(std::unique_lock<std::mutex>& lock) {
    const auto rung = [this] { return rung_; };
    const int64_t due_ns = sink_.next_tick_ns();
    if (due_ns < 0 && connections_open_ == 0) return bell_.wait(lock, rung);
    int64_t sleep_ns = sleep_ns_max;
    if (due_ns >= 0) sleep_ns = std::min(sleep_ns, due_ns - since_start(monotonic_ns()));
    bell_.wait_for(lock, std::chrono::nanoseconds(std::max<int64_t>(sleep_ns, 0)), rung);
  }

  // -------------------------------------------------------------------------- events

  void handle(const QueuedEvent& e) {
    const int64_t time_ns = since_start(e.time_ns);
    const auto direction = static_cast<Direction>(e.direction);
    switch (e.kind) {
      case QueuedKind::chunk:
        return handle_chunk(e, time_ns, direction);
      case QueuedKind::opened:
        return handle_opened(e, time_ns);
      case QueuedKind::connected:
        return handle_connected(e, time_ns);
      case QueuedKind::half_closed:
        sink_.event(time_ns, HalfClosed{e.connection, direction, e.offset});
        return indexer_.half_closed(time_ns, e.connection, direction);
      case QueuedKind::closed:
        return handle_closed(e, time_ns);
      case QueuedKind::gap:
        bytes_[e.direction] += e.length;
        sink_.event(time_ns,
                    Gap{e.connection, direction, e.offset, e.length, GapReason::overload, 0});
        return indexer_.gap(time_ns, e.connection, direction, e.length);
      case QueuedKind::stall:
        return handle_stall(e, time_ns);
      case QueuedKind::sent:
        return handle_sent(e, time_ns);
      case QueuedKind::lost_connections:
        connections_ += e.offset;
        bytes_[0] += e.length;  // of both directions; which is not known any more
        return sink_.event(time_ns, Gap{0, Direction::client_to_server, 0, e.length,
                                        GapReason::overload, e.offset});
    }
  }

  void handle_chunk(const QueuedEvent& e, int64_t time_ns, Direction direction) {
    bytes_[e.direction] += e.payload_bytes;
    sink_.chunk(time_ns, e.connection, direction, e.offset, e.payload());
    indexer_.chunk(time_ns, e.connection, direction, e.payload());
  }

  void handle_opened(const QueuedEvent& e, int64_t time_ns) {
    ++connections_;
    ++connections_open_;
    Opened opened;
    opened.connection = e.connection;
    opened.client = address_text(e.payload(), 0);
    opened.listener = address_text(e.payload(), 1);
    opened.upstream = options_.upstreams[e.listener];
    opened.recorded_connection = e.offset;
    sink_.event(time_ns, opened);
    indexer_.opened(e.connection, e.listener);
  }

  void handle_connected(const QueuedEvent& e, int64_t time_ns) {
    Connected connected;
    connected.connection = e.connection;
    connected.local = address_text(e.payload(), 0);
    connected.server = address_text(e.payload(), 1);
    sink_.event(time_ns, connected);
  }

  void handle_sent(const QueuedEvent& e, int64_t time_ns) {
    QueuedTimes times;
    std::memcpy(&times, e.payload().data(), sizeof(times));
    Send send;
    send.connection = e.connection;
    send.offset = e.offset;
    send.length = e.length;
    send.due_ns = since_start(times.due_ns);
    send.sent_ns = since_start(times.sent_ns);
    send.cause = as_text(e.payload().subspan(sizeof(times)));
    sink_.event(time_ns, send);
  }

  void handle_closed(const QueuedEvent& e, int64_t time_ns) {
    --connections_open_;
    Closed closed;
    closed.connection = e.connection;
    closed.how = static_cast<CloseHow>(e.how);
    closed.by = static_cast<ClosedBy>(e.by);
    closed.error = as_text(e.payload());
    closed.length[0] = e.offset;
    closed.length[1] = e.length;
    closed.protocol = indexer_.closed(time_ns, e.connection);
    sink_.event(time_ns, closed);
  }

  void handle_stall(const QueuedEvent& e, int64_t time_ns) {
    ++stalls_;
    stalled_ns_ += static_cast<int64_t>(e.length);
    sink_.event(time_ns,
                Stall{since_start(static_cast<int64_t>(e.offset)), static_cast<int64_t>(e.length)});
  }

  // -------------------------------------------------------------------------- figures

  int64_t since_start(int64_t time_ns) const { return std::max<int64_t>(time_ns - start_ns_, 0); }

  size_t unread_bytes() const {
    size_t bytes = 0;
    for (const auto& tap : taps_) bytes += tap->queue().used_bytes();
    return bytes;
  }

  bool skipped_after_hang() const {
    return std::any_of(taps_.begin(), taps_.end(),
                       [](const auto& tap) { return tap->skipping_after_hang(); });
  }

  Trailer trailer() const {
    Trailer t;
    t.connections = connections_;
    t.exchanges = indexer_.exchanges();
    t.requests = indexer_.requests();
    t.responses = indexer_.responses();
    t.length[0] = bytes_[0];
    t.length[1] = bytes_[1];
    t.stalls = stalls_;
    t.stalled_ns = stalled_ns_;
    t.exchanges_with_credentials = indexer_.exchanges_with_credentials();
    return t;
  }

  void publish() {
    exchanges_.store(indexer_.exchanges(), std::memory_order_relaxed);
    with_credentials_.store(indexer_.exchanges_with_credentials(), std::memory_order_relaxed);
    bytes_not_recorded_.store(sink_.bytes_not_recorded(), std::memory_order_relaxed);
    sends_not_recorded_.store(sink_.sends_not_recorded(), std::memory_order_relaxed);
    stored_bytes_.store(sink_.stored_bytes(), std::memory_order_relaxed);
  }

  // A counter that one thread writes and others read: no locked instruction is needed.
  class Counter {
   public:
    void operator+=(uint64_t n) { value_.store(*this + n, std::memory_order_relaxed); }
    void operator++() { *this += 1; }
    operator uint64_t() const { return value_.load(std::memory_order_relaxed); }
    uint64_t load(std::memory_order order) const { return value_.load(order); }
    void store(uint64_t n, std::memory_order order) { value_.store(n, order); }

   private:
    std::atomic<uint64_t> value_{0};
  };

  const RecorderOptions options_;
  const int64_t start_ns_;
  std::atomic<ConnectionId> ids_{0};
  std::vector<std::unique_ptr<Tap>> taps_;
  std::vector<std::function<void()>> wakers_;  // set before the loops run

  // The thread's own.
  std::thread thread_;
  TapeSink sink_;
  Notices notices_;
  Indexer indexer_;
  EventMerge merge_{taps_};
  int64_t parked_ns_ = 0;
  uint64_t connections_open_ = 0;
  bool failure_told_ = false;
  bool whole_ = false;

  // Written by the thread, read by others.
  Counter connections_, exchanges_, bytes_[2], bytes_not_recorded_, sends_not_recorded_, stalls_,
      with_credentials_, stored_bytes_;
  std::atomic<int64_t> stalled_ns_{0};

  // Whether a ring is needed. A loop pushes events, counts its ring, and looks whether we sleep; we
  // say that we sleep, read the count, and look whether there are events. All of it is sequentially
  // consistent, so one of the two sees the other, and no event waits for a bell that nobody rang.
  std::atomic<bool> asleep_{false};
  std::atomic<uint64_t> rings_{0};
  std::mutex mutex_;
  std::condition_variable bell_;  // guarded by mutex_, as are these:
  std::condition_variable done_bell_;
  bool rung_ = false;
  bool stopping_ = false;
  bool done_ = false;
  std::vector<std::function<void(std::vector<IdleConnection>)>> questions_;
};

Result<std::unique_ptr<Recorder>> Recorder::start(RecorderOptions options) {
  const int64_t start_ns = monotonic_ns();
  auto writer =
      TapeWriter::create(options.path, options.if_exists, options.level, make_header(options));
  if (!writer) return writer.error();
  auto impl = std::make_unique<Impl>(std::move(options), std::move(writer).value(), start_ns);
  impl->run_thread();
  return std::unique_ptr<Recorder>(new Recorder(std::move(impl)));
}

Recorder::Recorder(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
// A thread that hangs in the disk is left behind with what it uses; the process is about to end.
Recorder::~Recorder() {
  if (hanging_) (void)impl_.release();
}

Tap& Recorder::tap(size_t loop) {
  return impl_->tap(loop);
}
void Recorder::on_room(size_t loop, std::function<void()> wake) {
  impl_->on_room(loop, std::move(wake));
}
void Recorder::ask_for_idle(std::function<void(std::vector<IdleConnection>)> answer) {
  impl_->ask_for_idle(std::move(answer));
}
Recorder::Outcome Recorder::finish(int64_t patience_ns) {
  const Outcome outcome = impl_->finish(patience_ns);
  hanging_ = outcome == Outcome::hanging;
  return outcome;
}
RecorderCounters Recorder::counters() const {
  return impl_->counters();
}

}  // namespace wiretape
