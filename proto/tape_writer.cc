// Records gather in one block's buffer; when the next does not fit, or when the recorder's timer
// says so, the block gets a head, is packed, and goes to the file in one write.
//
//   write_chunk --+                                         +-> head + zstd frame -> TapeFile
//                 +-> encode -> [ block, < 128 KiB ] -> pack -+
//   write --------+                                         +-> place -> IndexBuilder (every 1,000)
//
// A record that does not fit into a block that can't be stored is refused, so nothing is ever taken
// that is then lost in silence: the block stays as it was and is tried again.
//
// Invariant: the block is at most block_raw_bytes_max; records_ is 0 exactly when it is empty;
// times in the block do not decrease.
#include "proto/tape_writer.h"

#include <fmt/core.h>

#include <cassert>
#include <cstring>
#include <utility>

#include "base/digest.h"
#include "proto/block.h"
#include "proto/record_decoder.h"
#include "proto/record_encoder.h"
#include "proto/tape_file.h"
#include "proto/tape_index.h"

namespace wiretape {

namespace format = tape_format;

static_assert(format::chunk_bytes_max + chunk_overhead_bytes_max < block_records_bytes_max);

class TapeWriter::Impl {
 public:
  Impl(std::unique_ptr<TapeFile> file, int level) : file_(std::move(file)), level_(level) {}

  Result<void> begin(const Header& header);
  Result<void> write_chunk(int64_t time_ns, const Chunk& chunk);
  Result<void> write(int64_t time_ns, const Event& event);
  Result<void> flush(Reserve reserve);
  Result<void> finish(int64_t time_ns, const Trailer& trailer);
  void discard_block(const Tell& tell);

  int64_t oldest_unstored_ns() const { return records_ == 0 ? -1 : first_ns_; }
  void set_level(int level) { level_ = level; }
  const TapeFile& file() const { return *file_; }

 private:
  // What a block was before something was added to it.
  struct Point {
    size_t block_size;
    uint32_t records;
    int64_t first_ns;
    int64_t last_ns;
  };

  Result<void> make_place(size_t record_bytes, Reserve reserve);
  Result<void> write(int64_t time_ns, const Event& event, Reserve reserve);
  Result<void> store_block(Reserve reserve);
  Result<void> write_index(Reserve reserve, const Trailer* totals);
  void added(int64_t time_ns, std::byte* end);
  void empty_block();
  bool invariant() const {
    return (records_ == 0) == (block_.size() == 0) && first_ns_ <= last_ns_;
  }

  std::unique_ptr<TapeFile> file_;
  int level_;
  BlockPacker packer_;
  IndexBuilder index_;
  std::string scratch_;

  BlockBuffer block_;
  uint32_t records_ = 0;
  int64_t first_ns_ = 0;
  int64_t last_ns_ = 0;

  uint64_t sequence_ = 0;
  uint32_t part_tag_ = 0;
  bool trailer_stored_ = false;
};

// The tag tells the blocks of this part from those of a tape that was recorded while it passed.
Result<void> TapeWriter::Impl::begin(const Header& header) {
  encode_record(scratch_, 0, header);
  part_tag_ = static_cast<uint32_t>(xxh3_64(as_bytes(scratch_)));
  MagicBytes magic = encode_magic({format::version, part_tag_});
  Bytes piece(magic);
  Result<void> done = file_->append({&piece, 1}, Reserve::keep);
  if (done) done = write(0, header);
  if (done) done = flush(Reserve::keep);
  if (!done) file_->undo_create();
  return done;
}

Result<void> TapeWriter::Impl::write_chunk(int64_t time_ns, const Chunk& chunk) {
  assert(chunk.bytes.size() <= format::chunk_bytes_max);
  Result<void> place = make_place(chunk.bytes.size() + chunk_overhead_bytes_max, Reserve::keep);
  if (place) added(time_ns, encode_chunk(block_.end(), time_ns, chunk));
  return place;
}

Result<void> TapeWriter::Impl::write(int64_t time_ns, const Event& event) {
  if (const auto* chunk = std::get_if<Chunk>(&event)) return write_chunk(time_ns, *chunk);
  return write(time_ns, event, Reserve::keep);
}

Result<void> TapeWriter::Impl::write(int64_t time_ns, const Event& event, Reserve reserve) {
  scratch_.clear();
  encode_record(scratch_, time_ns, event);
  if (scratch_.size() > block_records_bytes_max) {
    return Error{ErrorSource::tape,
                 fmt::format("a record of {} bytes does not fit on a tape", scratch_.size())};
  }
  if (Result<void> place = make_place(scratch_.size(), reserve); !place) return place;
  std::memcpy(block_.end(), scratch_.data(), scratch_.size());
  added(time_ns, block_.end() + scratch_.size());
  return {};
}

// Stores the block when the record does not fit any more.
Result<void> TapeWriter::Impl::make_place(size_t record_bytes, Reserve reserve) {
  if (record_bytes <= block_.room()) return {};
  return store_block(reserve);
}

void TapeWriter::Impl::added(int64_t time_ns, std::byte* end) {
  assert(time_ns >= last_ns_ && "records come in order of time");
  if (records_ == 0) first_ns_ = time_ns;
  last_ns_ = time_ns;
  block_.set_end(end);
  ++records_;
  assert(invariant());
}

Result<void> TapeWriter::Impl::flush(Reserve reserve) {
  return records_ == 0 ? Result<void>() : store_block(reserve);
}

Result<void> TapeWriter::Impl::store_block(Reserve reserve) {
  assert(records_ > 0 && invariant());
  if (index_.size() >= format::blocks_per_index) {
    if (Result<void> indexed = write_index(reserve, nullptr); !indexed) return indexed;
  }
  BlockPacker::Frame frame = packer_.pack(block_, level_);
  BlockHead head = {sequence_,
                    static_cast<uint32_t>(frame.raw_bytes),
                    static_cast<uint32_t>(frame.stored_bytes()),
                    records_,
                    part_tag_,
                    first_ns_,
                    last_ns_,
                    frame.checksum()};
  BlockHeadBytes head_bytes = encode_head(head);
  uint64_t at = file_->size();
  std::array<Bytes, 4> pieces = {Bytes(head_bytes), frame.pieces[0], frame.pieces[1],
                                 frame.pieces[2]};
  if (Result<void> done = file_->append(pieces, reserve); !done) return done;
  index_.add({at, sequence_, first_ns_, last_ns_, head.raw_bytes, head.stored_bytes});
  ++sequence_;
  empty_block();
  return {};
}

void TapeWriter::Impl::empty_block() {
  block_.resize(0);
  records_ = 0;
  first_ns_ = last_ns_;
}

Result<void> TapeWriter::Impl::write_index(Reserve reserve, const Trailer* totals) {
  uint64_t at = file_->size();
  std::string frame = index_.frame(at, totals);
  Bytes piece = as_bytes(frame);
  Result<void> done = file_->append({&piece, 1}, reserve);
  if (done) index_.written(at);
  return done;
}

// May be called again after it failed: the trailer does not stay in a block that can't be stored.
Result<void> TapeWriter::Impl::finish(int64_t time_ns, const Trailer& trailer) {
  if (!trailer_stored_) {
    size_t trailer_bytes_max = 256;
    if (Result<void> place = make_place(trailer_bytes_max, Reserve::use); !place) return place;
    Point before = {block_.size(), records_, first_ns_, last_ns_};
    Result<void> done = write(time_ns, trailer, Reserve::use);
    if (done) done = flush(Reserve::use);
    if (!done) {
      block_.resize(before.block_size);
      records_ = before.records;
      first_ns_ = before.first_ns;
      last_ns_ = before.last_ns;
      return done;
    }
    trailer_stored_ = true;
  }
  if (Result<void> done = write_index(Reserve::use, &trailer); !done) return done;
  file_->release_room();
  return {};
}

void TapeWriter::Impl::discard_block(const Tell& tell) {
  RecordDecoder decoder;
  decoder.begin(block_.records());
  int64_t time_ns = 0;
  Event event;
  while (decoder.next(time_ns, event) == RecordDecoder::Outcome::record) tell(time_ns, event);
  last_ns_ = first_ns_;
  empty_block();
}

TapeWriter::TapeWriter(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
TapeWriter::~TapeWriter() = default;

Result<std::unique_ptr<TapeWriter>> TapeWriter::create(const std::string& path, IfExists if_exists,
                                                       int level, const Header& header) {
  Result<std::unique_ptr<TapeFile>> file = TapeFile::create(path, if_exists);
  if (!file) return file.error();
  auto impl = std::make_unique<Impl>(*std::move(file), level);
  if (Result<void> begun = impl->begin(header); !begun) return begun.error();
  return std::unique_ptr<TapeWriter>(new TapeWriter(std::move(impl)));
}

Result<void> TapeWriter::write_chunk(int64_t time_ns, ConnectionId connection, Direction direction,
                                     uint64_t offset, Bytes bytes) {
  return impl_->write_chunk(time_ns, {connection, direction, offset, bytes});
}

Result<void> TapeWriter::write(int64_t time_ns, const Event& event) {
  return impl_->write(time_ns, event);
}

Result<void> TapeWriter::flush(Reserve reserve) {
  return impl_->flush(reserve);
}
int64_t TapeWriter::oldest_unstored_ns() const {
  return impl_->oldest_unstored_ns();
}

void TapeWriter::discard_block(const Tell& tell) {
  impl_->discard_block(tell);
}

Result<void> TapeWriter::finish(int64_t time_ns, const Trailer& trailer) {
  return impl_->finish(time_ns, trailer);
}

void TapeWriter::set_level(int level) {
  impl_->set_level(level);
}
uint64_t TapeWriter::stored_bytes() const {
  return impl_->file().size();
}
const std::string& TapeWriter::path() const {
  return impl_->file().path();
}

}  // namespace wiretape
