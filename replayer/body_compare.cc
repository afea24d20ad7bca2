// Most bodies are the same, and for those nothing more is needed than what StreamCompare does: hold
// what one side is ahead. To name a value in JSON takes both documents whole, so those are kept,
// as long as they are not too long and memory is not short:
//
//   both heads say JSON   texts_[recorded], texts_[replayed] -> equal? -> compare_json
//                              | one does not, too long, no memory
//                              v
//   else                  streams_ (StreamCompare) -> the first offset that differs
//
// Bodies with a content coding (gzip) are never taken for JSON: they are compared as they came.
#include "replayer/body_compare.h"

#include <fmt/format.h>

#include <cassert>
#include <utility>

namespace wiretape {
namespace {

constexpr size_t retained_bytes_max = 16 * 1024;  // from use to use
constexpr auto recorded = StreamCompare::Side::recorded;
constexpr auto replayed = StreamCompare::Side::replayed;

constexpr size_t index(StreamCompare::Side side) {
  return static_cast<size_t>(side);
}

std::string length_text(uint64_t bytes) {
  return fmt::format("{} byte{}", bytes, bytes == 1 ? "" : "s");
}

}  // namespace

void describe(const StreamCompare& streams, Difference& difference) {
  assert(!streams.equal());
  difference.offset = streams.differs_from();
  difference.offset_is_exact = streams.difference_is_exact();
  difference.recorded = streams.around_difference(recorded);
  difference.replayed = streams.around_difference(replayed);
  if (!difference.offset_is_exact) {
    difference.recorded = length_text(streams.length(recorded));
    difference.replayed = length_text(streams.length(replayed));
  } else if (streams.length(recorded) != streams.length(replayed)) {
    difference.recorded_bytes = streams.length(recorded);
    difference.replayed_bytes = streams.length(replayed);
  }
}

void BodyCompare::announce(bool json) {
  if (!json) stop_keeping();
}

void BodyCompare::feed(Side side, Bytes bytes) {
  if (!streaming_ && texts_[index(side)].size() + bytes.size() > json_bytes_max) stop_keeping();
  if (streaming_) return streams_.feed(side, bytes);
  texts_[index(side)].append(as_text(bytes));
}

uint64_t BodyCompare::length(Side side) const {
  return streaming_ ? streams_.length(side) : texts_[index(side)].size();
}

void BodyCompare::stop_keeping() {
  if (streaming_) return;
  streaming_ = true;
  for (const Side side : {recorded, replayed}) {
    streams_.feed(side, as_bytes(texts_[index(side)]));
    texts_[index(side)] = std::string();
  }
}

bool BodyCompare::same(const std::vector<JsonPath>& ignored, Difference& difference) {
  if (!streaming_ && texts_[0] != texts_[1]) {
    auto json = compare_json(texts_[0], texts_[1], ignored);
    if (json && json->same && !ignored.empty()) return true;
    if (json && !json->same) {
      difference.path = std::move(json->path);
      difference.recorded = std::move(json->recorded);
      difference.replayed = std::move(json->replayed);
      return false;
    }
    stop_keeping();  // to find the offset
  }
  if (!streaming_ || streams_.equal()) return true;
  describe(streams_, difference);
  return false;
}

size_t BodyCompare::held_bytes() const {
  if (streaming_) return streams_.held_bytes();
  return texts_[0].capacity() + texts_[1].capacity();
}

void BodyCompare::give_up_bytes() {
  stop_keeping();
  streams_.give_up_bytes();
}

void BodyCompare::reset() {
  for (std::string& text : texts_) {
    if (text.capacity() > retained_bytes_max) text = std::string();
    text.clear();
  }
  streams_.reset();
  streaming_ = false;
}

}  // namespace wiretape
