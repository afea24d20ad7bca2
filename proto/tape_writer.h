// Writes a tape: records into a block, blocks into the file. The file is always a valid tape up to
// its last whole block, whatever happens to the disk or to us.
//
// Not thread-safe: one thread, the recorder's, owns a writer. Times are nanoseconds since the
// part's start and must not decrease.
//
// Errors: when a block cannot be stored the file is cut back to its last whole block, the block is
// kept in memory and the call that needed the room fails without taking its record. The same block
// is tried again by the next flush(). What to do meanwhile is the caller's policy (recorder's
// tape_sink).
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "proto/event.h"

namespace wiretape {

class TapeWriter {
 public:
  enum class IfExists { refuse, overwrite };
  // keep: the last 64 KiB of a full disk stay free. use: the end of the tape may take them.
  enum class Reserve { keep, use };

  // Opens `path` ("-" is standard output) with mode 0600, takes the lock, and puts the magic frame
  // and the header on disk before it returns. Level: zstd's, negative ones too; 0 stores.
  static Result<std::unique_ptr<TapeWriter>> create(const std::string& path, IfExists if_exists,
                                                    int level, const Header& header);
  // A tape that was not finished is left torn, as after a crash.
  ~TapeWriter();
  TapeWriter(const TapeWriter&) = delete;
  TapeWriter& operator=(const TapeWriter&) = delete;

  // The hot path: a chunk of at most 64 KiB, straight in wire format.
  Result<void> write_chunk(int64_t time_ns, ConnectionId connection, Direction direction,
                           uint64_t offset, Bytes bytes);
  // Any other event (a Chunk too).
  Result<void> write(int64_t time_ns, const Event& event);

  // Stores the block begun, if there is one.
  Result<void> flush(Reserve reserve = Reserve::keep);
  // The time of the oldest record that is not stored yet; -1: there is none.
  int64_t oldest_unstored_ns() const;

  // Gives up the block begun and tells what was in it, in order: for the end on a full disk. Views
  // are valid during the call; nothing may be written from within it.
  using Tell = std::function<void(int64_t time_ns, const Event& event)>;
  void discard_block(const Tell& tell);

  // Writes the trailer, stores everything, writes the index, and releases the reserve.
  Result<void> finish(int64_t time_ns, const Trailer& trailer);

  // For the next block.
  void set_level(int level);
  uint64_t stored_bytes() const;  // size of the file
  const std::string& path() const;

 private:
  class Impl;
  explicit TapeWriter(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace wiretape
