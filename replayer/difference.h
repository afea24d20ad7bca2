// One thing that came out different, or went wrong, as the report tells it. Texts are short and
// printable, whatever the server sent.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "proto/event.h"

namespace wiretape {

struct Difference {
  ConnectionId connection = 0;
  uint32_t part = 0;                // of the tape, from 0
  std::optional<uint64_t> request;  // none: the connection's whole stream
  std::string method;
  std::string url;
  std::string what;  // "status", "header", "body", "bytes", "error"
  std::string recorded;
  std::string replayed;

  // Where it begins: the header's name in lower case and how many differ; a body's path in JSON; an
  // offset. When the offset is not exact, it is somewhere in the 64 KiB from there.
  std::string header;
  uint64_t headers = 0;
  std::string path;
  std::optional<uint64_t> offset;
  bool offset_is_exact = true;
  // Lengths, when they differ.
  std::optional<uint64_t> recorded_bytes;
  std::optional<uint64_t> replayed_bytes;
};

}  // namespace wiretape
