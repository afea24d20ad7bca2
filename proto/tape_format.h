// The constants of the tape format; docs/tape_format.md is the specification.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

namespace wiretape::tape_format {

inline constexpr uint32_t version = 1;

inline constexpr uint32_t skippable_magic = 0x184D2A57;
inline constexpr size_t frame_head_bytes = 8;  // skippable magic and length
inline constexpr size_t marker_bytes = 8;

using Marker = std::array<uint8_t, marker_bytes>;
inline constexpr Marker magic_marker = {'W', 'I', 'R', 'E', 'T', 'A', 'P', 'E'};
inline constexpr Marker head_marker = {0xF7, 'W', 'T', 'B', 0x1A, 0x0D, 0x0A, 0x9E};
inline constexpr Marker index_marker = {0xF7, 'W', 'T', 'I', 0x1A, 0x0D, 0x0A, 0x9E};

inline constexpr size_t magic_frame_bytes = frame_head_bytes + marker_bytes + 8;
inline constexpr size_t block_head_bytes = frame_head_bytes + marker_bytes + 56;

inline constexpr size_t block_raw_bytes_max = 128 * 1024 - 1;
inline constexpr size_t block_readable_bytes_max = 256 * 1024;  // what a reader accepts
inline constexpr int64_t block_age_ns_max = 100'000'000;
inline constexpr size_t chunk_bytes_max = 64 * 1024;
inline constexpr size_t blocks_per_index = 1000;
inline constexpr size_t index_readable_bytes_max = 256 * 1024;

// Kept free behind the end of the file, so that the index and the trailer fit on a full disk.
inline constexpr size_t reserve_bytes = 64 * 1024;

}  // namespace wiretape::tape_format
