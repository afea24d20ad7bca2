// The tape of a run, as often as the run wants to read it: from a file, or from a pipe, which is
// copied to an unlinked file first.
//
// Not thread-safe.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "base/result.h"
#include "proto/tape_reader.h"

namespace wiretape {

class TapeSource {
 public:
  // `path`: "-" is standard input. `laps`, at least 1: how often next() goes through the tape.
  // Errors: it is no tape, or can't be read, or is still being written (tape); there is no room to
  // copy it to (disk).
  static Result<std::unique_ptr<TapeSource>> open(const std::string& path, uint64_t laps);
  ~TapeSource();
  TapeSource(const TapeSource&) = delete;
  TapeSource& operator=(const TapeSource&) = delete;

  // What the user calls it.
  const std::string& name() const { return name_; }
  // Where the same bytes can be opened, any number of times, as long as this lives.
  const std::string& path() const { return path_; }

  // The next record or damage, nothing at the end of the last lap. Each lap's parts are numbered
  // on from those before, as if the laps were one file.
  const TapeReader::Item* next();
  // Why the laps ended early: the tape could not be opened again.
  const std::optional<Error>& failure() const { return failure_; }
  // Of the lap under way, when next() gave nothing: of the last.
  TapeEnd end() const { return reader_->end(); }
  // The lap under way becomes the last.
  void finish_lap() { laps_ = lap_ + 1; }
  uint64_t laps() const { return laps_; }

  // Of one lap; nothing when the tape has no whole index.
  const std::optional<TapeTotals>& totals() const { return totals_; }

 private:
  TapeSource(std::string name, int fd, uint64_t laps);
  Result<std::unique_ptr<TapeReader>> reader() const;
  const TapeReader::Item* renumbered(const TapeReader::Item& item);

  // Invariant: lap_ < laps_, and reader_ reads that lap.
  std::string name_;
  int fd_;
  std::string path_;
  uint64_t laps_;
  uint64_t lap_ = 0;
  uint32_t parts_before_ = 0;  // in the laps before
  uint32_t last_part_ = 0;
  std::unique_ptr<TapeReader> reader_;
  std::optional<Error> failure_;
  std::optional<TapeTotals> totals_;
  TapeReader::Item item_;  // with its number changed
};

}  // namespace wiretape
