// Compares the bodies of two responses while they come, and says where they differ: in JSON by the
// value's path, else by the offset.
#pragma once

#include <string>
#include <vector>

#include "replayer/difference.h"
#include "replayer/json_compare.h"
#include "replayer/stream_compare.h"

namespace wiretape {

// Fills in offset, lengths and texts. Only when they are not equal.
void describe(const StreamCompare& streams, Difference& difference);

class BodyCompare {
 public:
  using Side = StreamCompare::Side;

  // A response's head was read: whether its body is JSON. Before its bytes.
  void announce(bool json);
  void feed(Side side, Bytes bytes);
  uint64_t length(Side side) const;

  // When both are complete: false when they differ, and `difference` says where. With `ignored`,
  // JSON is the same when its other values are; else it is when its bytes are.
  bool same(const std::vector<JsonPath>& ignored, Difference& difference);

  size_t held_bytes() const;
  void give_up_bytes();
  void reset();  // as new, but for some memory that is used again

 private:
  void stop_keeping();

  // Invariant: only one of the two is used: texts_ until streaming_, streams_ from then on.
  std::string texts_[2];  // whole bodies, which may be JSON
  StreamCompare streams_;
  bool streaming_ = false;
};

}  // namespace wiretape
