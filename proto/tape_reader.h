// Reads a tape from the first record to the last, in constant memory, from a file or a pipe. It
// steps over what is damaged and says so; a torn tail is a normal end.
//
// Not thread-safe. Never trusts a length: it may be fed any bytes.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "base/result.h"
#include "proto/event.h"

namespace wiretape {

// A record with its time, in nanoseconds since its part's start. The bytes of a Chunk are valid
// until the next call of next().
struct TapeRecord {
  int64_t time_ns = 0;
  uint32_t part = 0;  // which header it came after, counted from 0 in this file
  Event event;
};

// A stretch of the file that could not be read.
struct TapeDamage {
  uint64_t file_offset = 0;
  uint64_t file_bytes = 0;
  uint64_t blocks_lost = 0;  // as far as sequence numbers tell
  int64_t first_ns = -1;     // the time it covers; -1: not known
  int64_t last_ns = -1;
  std::string what;          // one line
  uint64_t bad_records = 0;  // that did not parse, in a block that is otherwise whole
};

// How the file ended.
enum class TapeEnd {
  whole,          // with a trailer
  torn,           // without: a crash, a power cut, a copy cut short
  being_written,  // without, and a writer holds the lock
};

class TapeReader {
 public:
  // "-" is standard input. A file that is not a tape is an error that says what it looks like
  // (a HAR, a pcap, a gzip file, ...) and what to do with it.
  static Result<std::unique_ptr<TapeReader>> open(const std::string& path);
  ~TapeReader();
  TapeReader(const TapeReader&) = delete;
  TapeReader& operator=(const TapeReader&) = delete;

  // For who reads HTTP off the bytes: exchange records, which are an index over them, are passed
  // over from now on.
  void leave_out_exchanges();

  // The next record or damage; nothing at the end.
  using Item = std::variant<TapeRecord, TapeDamage>;
  const Item* next();

  // Valid after next() gave nothing.
  TapeEnd end() const;
  uint64_t torn_bytes() const;  // of the file, behind the last whole block
  const std::string& path() const;

 private:
  class Impl;
  explicit TapeReader(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

// True when a writer holds the lock of the tape that `fd` is open on; it does until it has
// finished.
bool is_being_written(int fd);

// Where a block stands in the file.
struct BlockPlace {
  uint64_t file_offset = 0;  // of its head
  uint64_t sequence = 0;
  int64_t first_ns = 0;
  int64_t last_ns = 0;
  uint32_t raw_bytes = 0;
  uint32_t stored_bytes = 0;
};

struct BlockList {
  std::vector<BlockPlace> blocks;
  bool rebuilt = false;  // from the heads, because the index was missing or wrong
};

// What the indexes of a tape's parts say together.
struct TapeTotals {
  uint64_t requests = 0;    // of HTTP
  int64_t duration_ns = 0;  // of the parts, one behind the other
};

// Nothing when it is not on disk, or not every part has its index. Reads no blocks.
std::optional<TapeTotals> tape_totals(const std::string& path);

// All blocks of a tape on disk, in order: by the index chain, or by the heads where that is broken.
Result<BlockList> list_blocks(const std::string& path);

}  // namespace wiretape
