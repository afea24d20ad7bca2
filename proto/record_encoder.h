// Events into records, straight in protobuf's wire format: what is appended to a block.
#pragma once

#include <cstdint>
#include <string>

#include "proto/event.h"
#include "proto/wire.h"

namespace wiretape {

// Text fields are cut here: a target can be as long as its sender likes, a record can not. The
// bytes themselves are in the chunks, whole.
inline constexpr size_t text_bytes_max = 16 * 1024;

// What a chunk's record takes beside its bytes, at most.
inline constexpr size_t chunk_overhead_bytes_max = 80;

// The hot path. `out` has room for chunk_overhead_bytes_max and the bytes; returns the end.
std::byte* encode_chunk(std::byte* out, int64_t time_ns, const Chunk& chunk);

// Appends the record of any event to `out`.
void encode_record(std::string& out, int64_t time_ns, const Event& event);

// The fields of a trailer, which an index holds too.
void write_trailer(wire::Writer& out, const Trailer& trailer);

}  // namespace wiretape
