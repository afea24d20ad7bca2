// Records back into events, through the generated classes; chunks mostly by a shorter way.
#pragma once

#include <memory>
#include <optional>
#include <string_view>

#include "proto/event.h"

namespace wiretape {

// Takes the records of one decompressed block apart, one after the other.
class RecordDecoder {
 public:
  RecordDecoder();
  ~RecordDecoder();
  RecordDecoder(RecordDecoder&&) noexcept;
  RecordDecoder& operator=(RecordDecoder&&) noexcept;

  enum class Outcome {
    record,      // time_ns and event are set
    bad_record,  // one record does not parse; the next may
    bad_block,   // no record can be found any more
    end,
  };

  // From now on exchange records are passed over, without a look at what is in them.
  void leave_out_exchanges() { leaves_out_exchanges_ = true; }
  // The block's records; the bytes must stay until the last next().
  void begin(Bytes raw);
  // The next record of a kind that we know. The bytes of a Chunk are valid until the next call.
  Outcome next(int64_t& time_ns, Event& event);

 private:
  struct Scratch;  // the message that is parsed into, again and again
  Outcome parse(Bytes record, int64_t& time_ns, Event& event);

  std::unique_ptr<Scratch> scratch_;
  Bytes rest_;
  bool leaves_out_exchanges_ = false;
};

}  // namespace wiretape
