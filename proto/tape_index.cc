// An index lets a reader go to any block without reading the tape. It is a chain that is walked
// from the end of the file, because only there is it known to be complete:
//
//   | magic | 1,000 blocks | index | 1,000 blocks | index | 12 blocks | index with totals |
//      ^-------------------------------------part_distance-------------'
//                              ^---previous------'    ^-----previous---'
//
// All distances count backwards from the index frame, so that they hold in a file made by `cat`;
// the walk goes on with the part before, whose last index ends where this part's magic begins.
// Nothing in an index is believed before it agrees with everything else; when it does not, the
// blocks are listed by reading their heads.
//
// Invariant: a builder holds at most the places of blocks_per_index blocks and those behind the
// last index that could not be written.
#include "proto/tape_index.h"

#include <fcntl.h>
#include <fmt/core.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cassert>
#include <cerrno>
#include <cstring>
#include <optional>

#include "base/digest.h"
#include "proto/block.h"
#include "proto/frame_reader.h"
#include "proto/record_encoder.h"
#include "proto/tape.pb.h"
#include "proto/wire.h"

namespace wiretape {

namespace format = tape_format;

namespace {

constexpr size_t prefix_bytes = format::frame_head_bytes + format::marker_bytes + 8;

// A file descriptor that is closed at the end.
struct File {
  int fd = -1;
  ~File() {
    if (fd >= 0) close(fd);
  }
};

struct IndexAt {
  uint64_t file_offset = 0;
  v1::Index index;
};

std::vector<std::byte> read_at(int fd, uint64_t offset, size_t count) {
  std::vector<std::byte> bytes(count);
  size_t done = 0;
  while (done < count) {
    ssize_t got = pread(fd, bytes.data() + done, count - done, static_cast<off_t>(offset + done));
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) break;
    done += static_cast<size_t>(got);
  }
  bytes.resize(done);
  return bytes;
}

// The index frame that `bytes` begin with.
std::optional<v1::Index> parse_index(Bytes bytes) {
  if (bytes.size() < prefix_bytes || load_u32(bytes, 0) != format::skippable_magic) return {};
  if (std::memcmp(bytes.data() + format::frame_head_bytes, format::index_marker.data(),
                  format::marker_bytes) != 0) {
    return {};
  }
  size_t length = load_u32(bytes, 4);
  size_t head = prefix_bytes - format::frame_head_bytes;
  if (length < head || length > bytes.size() - format::frame_head_bytes) return {};
  Bytes payload = bytes.subspan(prefix_bytes, length - head);
  v1::Index index;
  if (xxh3_64(payload) != load_u64(bytes, prefix_bytes - 8)) return {};
  if (!index.ParseFromArray(payload.data(), static_cast<int>(payload.size()))) return {};
  return index;
}

std::optional<IndexAt> index_at(int fd, uint64_t offset, uint64_t end) {
  size_t most = prefix_bytes + format::index_readable_bytes_max;
  size_t count = static_cast<size_t>(std::min<uint64_t>(end - offset, most));
  std::optional<v1::Index> index = parse_index(read_at(fd, offset, count));
  if (!index) return {};
  return IndexAt{offset, *std::move(index)};
}

// The index frame whose last byte is the one before `end`.
std::optional<IndexAt> index_before(int fd, uint64_t end) {
  uint64_t most = prefix_bytes + format::index_readable_bytes_max;
  uint64_t begin = end - std::min(end, most);
  std::vector<std::byte> tail = read_at(fd, begin, static_cast<size_t>(end - begin));
  std::string_view text = as_text(tail);
  std::string_view marker(reinterpret_cast<const char*>(format::index_marker.data()),
                          format::marker_bytes);
  size_t found = text.rfind(marker);
  if (found == std::string_view::npos || found < format::frame_head_bytes) return {};
  size_t at = found - format::frame_head_bytes;
  Bytes frame = Bytes(tail).subspan(at);
  std::optional<v1::Index> index = parse_index(frame);
  if (!index || load_u32(frame, 4) + format::frame_head_bytes != frame.size()) return {};
  return IndexAt{begin + at, *std::move(index)};
}

// Adds the blocks of one index frame, last first. `end`: where what comes behind them begins.
bool add_blocks(const IndexAt& at, std::vector<BlockPlace>& out) {
  uint64_t end = at.file_offset;
  for (int i = at.index.block_size(); i-- > 0;) {
    const v1::Index::Block& block = at.index.block(i);
    uint64_t size = format::block_head_bytes + block.stored_bytes();
    if (block.stored_bytes() > format::block_readable_bytes_max) return false;
    if (block.raw_bytes() > format::block_readable_bytes_max) return false;
    if (block.distance() > at.file_offset) return false;
    uint64_t offset = at.file_offset - block.distance();
    if (offset + size != end) return false;
    out.push_back({offset, block.sequence(), static_cast<int64_t>(block.first_ns()),
                   static_cast<int64_t>(block.last_ns()), static_cast<uint32_t>(block.raw_bytes()),
                   static_cast<uint32_t>(block.stored_bytes())});
    end = offset;
  }
  return at.index.block_size() > 0;
}

bool is_magic(int fd, uint64_t offset) {
  return decode_magic(read_at(fd, offset, format::magic_frame_bytes)).has_value();
}

// Adds the blocks of the part that `last` ends, last first. Gives where the part begins.
std::optional<uint64_t> walk_part(int fd, IndexAt last, std::vector<BlockPlace>& out) {
  uint64_t from_here = last.index.part_distance();
  if (from_here > last.file_offset || !is_magic(fd, last.file_offset - from_here)) return {};
  uint64_t part_begin = last.file_offset - from_here;
  while (true) {
    if (!add_blocks(last, out)) return {};
    uint64_t back = last.index.previous_distance();
    uint64_t first_block = out.back().file_offset;
    if (back == 0) {
      bool complete = first_block == part_begin + format::magic_frame_bytes;
      return complete && out.back().sequence == 0 ? std::optional(part_begin) : std::nullopt;
    }
    if (back > last.file_offset - part_begin) return {};
    std::optional<IndexAt> previous = index_at(fd, last.file_offset - back, first_block);
    if (!previous) return {};
    last = *std::move(previous);
  }
}

std::optional<std::vector<BlockPlace>> walk(int fd, uint64_t size) {
  std::vector<BlockPlace> blocks;
  for (uint64_t end = size; end > 0;) {
    std::optional<IndexAt> last = index_before(fd, end);
    if (!last) return {};
    std::optional<uint64_t> begin = walk_part(fd, *std::move(last), blocks);
    if (!begin) return {};
    end = *begin;
  }
  std::reverse(blocks.begin(), blocks.end());
  return blocks;
}

std::vector<BlockPlace> places_by_heads(FrameReader& frames) {
  std::vector<BlockPlace> blocks;
  while (true) {
    Frame frame = frames.next();
    if (std::holds_alternative<EndOfFrames>(frame)) return blocks;
    if (const auto* block = std::get_if<BlockFrame>(&frame)) {
      const BlockHead& head = block->head;
      blocks.push_back({block->file_offset, head.sequence, head.first_ns, head.last_ns,
                        head.raw_bytes, head.stored_bytes});
    }
  }
}

}  // namespace

std::string IndexBuilder::frame(uint64_t file_offset, const Trailer* totals) const {
  std::string payload;
  wire::Writer out(payload);
  for (const BlockPlace& place : places_) {
    assert(place.file_offset < file_offset);
    out.message(1, [&](wire::Writer& block) {
      block.number(1, file_offset - place.file_offset);
      block.number(2, place.sequence);
      block.number(3, static_cast<uint64_t>(place.first_ns));
      block.number(4, static_cast<uint64_t>(place.last_ns));
      block.number(5, place.raw_bytes);
      block.number(6, place.stored_bytes);
    });
  }
  out.number(2, previous_ == 0 ? 0 : file_offset - previous_);
  out.number(3, file_offset);
  if (totals) out.message(4, [&](wire::Writer& trailer) { write_trailer(trailer, *totals); });

  std::byte prefix[prefix_bytes];
  store_u32(prefix, format::skippable_magic);
  store_u32(prefix + 4,
            static_cast<uint32_t>(prefix_bytes - format::frame_head_bytes + payload.size()));
  std::memcpy(prefix + format::frame_head_bytes, format::index_marker.data(), format::marker_bytes);
  store_u64(prefix + prefix_bytes - 8, xxh3_64(as_bytes(payload)));
  return std::string(as_text(prefix)) + payload;
}

void IndexBuilder::written(uint64_t file_offset) {
  assert(places_.empty() || places_.back().file_offset < file_offset);
  places_.clear();
  previous_ = file_offset;
}

std::optional<TapeTotals> tape_totals(const std::string& path) {
  const File file{open(path.c_str(), O_RDONLY | O_CLOEXEC)};
  struct stat info = {};
  if (file.fd < 0 || fstat(file.fd, &info) != 0 || !S_ISREG(info.st_mode)) return {};
  TapeTotals totals;
  for (auto end = static_cast<uint64_t>(info.st_size); end > 0;) {
    const std::optional<IndexAt> last = index_before(file.fd, end);
    if (!last || !last->index.has_totals() || last->index.block_size() == 0) return {};
    const uint64_t back = last->index.part_distance();
    if (back == 0 || back > last->file_offset) return {};
    totals.requests += last->index.totals().requests();
    totals.duration_ns +=
        static_cast<int64_t>(last->index.block(last->index.block_size() - 1).last_ns());
    end = last->file_offset - back;
  }
  return totals;
}

Result<BlockList> list_blocks(const std::string& path) {
  // The reader's own check, so that what is no tape gets the same words from both.
  Result<std::unique_ptr<TapeReader>> reader = TapeReader::open(path);
  if (!reader) return reader.error();
  File file{open(path.c_str(), O_RDONLY | O_CLOEXEC)};
  struct stat info = {};
  if (file.fd < 0 || fstat(file.fd, &info) != 0 || !S_ISREG(info.st_mode)) {
    return Error{ErrorSource::tape, fmt::format("{} is no file on disk: its blocks can only be "
                                                "read from the beginning",
                                                path)};
  }
  if (auto blocks = walk(file.fd, static_cast<uint64_t>(info.st_size))) {
    return BlockList{*std::move(blocks), false};
  }
  FrameReader frames(std::exchange(file.fd, -1));
  return BlockList{places_by_heads(frames), true};
}

}  // namespace wiretape
