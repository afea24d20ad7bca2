// The recorder: one thread that takes events out of the taps' queues, in order of time, finds the
// HTTP exchanges in them, and writes everything to the sinks. The loops never wait for it.
//
//   tap -> event_queue -> [recorder thread] exchange tracker -> tape_sink -> session.tape
//
// start(), tap() and finish() are for the thread that owns the recorder; counters() for any.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "proto/event.h"
#include "proto/tape_writer.h"
#include "recorder/tap.h"

namespace wiretape {

struct RecorderOptions {
  std::string path;  // "-" is standard output
  TapeWriter::IfExists if_exists = TapeWriter::IfExists::refuse;
  int level = level_default;
  bool index = true;   // find HTTP exchanges
  bool advise = true;  // tell the user of clients that seem to mistake us for something else
  bool in_background = false;  // the thread waits for a processor rather than take a busy one
  Overload overload = Overload::wait;
  size_t loops = 1;
  size_t queue_bytes_max = EventQueue::capacity_bytes_default;  // a loop
  // "127.0.0.1:8080 -> app:3000", one a pair; and the upstream as the user named it.
  std::vector<std::string> listeners;
  std::vector<std::string> upstreams;
  // Called on the recorder's thread, once, when the disk fails.
  std::function<void()> on_disk_failure;

  static constexpr int level_default = -3;
};

// Where a connection stands, as far as the recorder has come: for closing idle ones at a drain.
struct IdleConnection {
  ConnectionId connection;
  uint64_t length[2];
};

struct RecorderCounters {
  uint64_t connections = 0;
  uint64_t exchanges = 0;
  uint64_t bytes[2] = {0, 0};
  uint64_t bytes_not_recorded = 0;
  uint64_t sends_not_recorded = 0;  // of a run; their bytes may be there
  uint64_t stalls = 0;
  int64_t stalled_ns = 0;
  uint64_t exchanges_with_credentials = 0;
  uint64_t stored_bytes = 0;
};

class Recorder {
 public:
  // Creates the tape, with its header on disk, and starts the thread.
  static Result<std::unique_ptr<Recorder>> start(RecorderOptions options);
  ~Recorder();  // finish() must have been called
  Recorder(const Recorder&) = delete;
  Recorder& operator=(const Recorder&) = delete;

  Tap& tap(size_t loop);
  // `wake` is called on the recorder's thread when a waiting tap has room again; it must bring
  // Tap::room_again to its loop's thread.
  void on_room(size_t loop, std::function<void()> wake);

  // Asks for the HTTP connections that are between two exchanges; `answer` is called on the
  // recorder's thread.
  void ask_for_idle(std::function<void(std::vector<IdleConnection>)> answer);

  // No more events come. Writes what is left, and the trailer. Gives up after `patience_ns` when
  // the disk hangs; then the thread is left behind, and the process should end.
  enum class Outcome { whole, incomplete, hanging };
  Outcome finish(int64_t patience_ns);

  RecorderCounters counters() const;

 private:
  class Impl;
  explicit Recorder(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
  bool hanging_ = false;
};

}  // namespace wiretape
