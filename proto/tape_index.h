// The index frames: where each block of a tape stands.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "proto/event.h"
#include "proto/tape_reader.h"

namespace wiretape {

// Collects the places of blocks until an index frame is due.
class IndexBuilder {
 public:
  void add(const BlockPlace& place) { places_.push_back(place); }
  size_t size() const { return places_.size(); }

  // The frame, if it is to begin at `file_offset`. `totals` is null but in a part's last.
  std::string frame(uint64_t file_offset, const Trailer* totals) const;
  // The frame was written there.
  void written(uint64_t file_offset);

 private:
  std::vector<BlockPlace> places_;
  uint64_t previous_ = 0;  // where the index frame before begins; 0: there is none
};

}  // namespace wiretape
