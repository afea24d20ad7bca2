// From frames to records, with an account of everything that is missing.
//
//   FrameReader -> blocks in sequence -> BlockUnpacker -> RecordDecoder -> next()
//        \-> bad bytes ---\                 \-> bad block      \-> bad record
//                          `----------------------------------------------> TapeDamage
//
// What is missing shows in three places: bytes that are no frame, blocks that do not unpack, and
// sequence numbers that jump. A stretch of bad bytes is kept back until the next block's head says
// how many blocks were in it. Blocks of another part never mix with this part's: every head carries
// the tag of its part.
//
// Invariant: in_block_ is true exactly while the decoder has bytes of unpacked_ to go through.
#include "proto/tape_reader.h"

#include <fcntl.h>
#include <fmt/core.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cassert>
#include <cerrno>
#include <cstring>
#include <deque>

#include "proto/frame_reader.h"
#include "proto/record_decoder.h"

namespace wiretape {

namespace format = tape_format;

class TapeReader::Impl {
 public:
  Impl(std::string path, int fd) : path_(std::move(path)), frames_(fd) {}

  Result<void> recognise();
  const Item* next();
  void leave_out_exchanges() { decoder_.leave_out_exchanges(); }
  TapeEnd end() const { return end_; }
  uint64_t torn_bytes() const { return torn_bytes_; }
  const std::string& path() const { return path_; }

 private:
  void on_frame(const BlockFrame& block);
  void on_frame(const MagicFrame& magic);
  void on_frame(const SkippedFrame&) {}
  void on_frame(const BadBytes& bad);
  void on_frame(const EndOfFrames& end);
  void begin_part(uint32_t tag, uint64_t file_offset);
  void adopt_part(const BlockFrame& block);
  bool in_sequence(const BlockFrame& block);
  void unpack(const BlockFrame& block);
  void settle(uint64_t blocks_lost, int64_t until_ns);
  void report(TapeDamage damage) { damage_.push_back(std::move(damage)); }
  bool next_record();
  void end_block();
  TapeEnd how_it_ended() const;

  std::string path_;
  FrameReader frames_;
  BlockUnpacker unpacker_;
  RecordDecoder decoder_;

  // The part.
  bool in_part_ = false;
  bool part_empty_ = true;     // no block of it was seen
  bool readable_part_ = true;  // of a version that we know
  uint32_t part_ = 0;
  uint32_t part_tag_ = 0;
  uint64_t sequence_ = 0;  // of the next block
  int64_t last_ns_ = -1;   // of the last block
  bool trailer_seen_ = false;

  // The block.
  bool in_block_ = false;
  BlockHead head_;
  uint64_t block_offset_ = 0;
  uint64_t bad_records_ = 0;  // of the block so far
  bool bad_rest_ = false;     // no record can be found in what is left of it

  std::optional<TapeDamage> unsettled_;  // bad bytes: how many blocks were they?
  bool one_block_ = false;               // exactly one
  std::deque<TapeDamage> damage_;        // to be handed out
  Item item_;

  bool ended_ = false;
  TapeEnd end_ = TapeEnd::torn;
  uint64_t torn_bytes_ = 0;
};

namespace {

struct Look {
  std::string_view begins_with;
  const char* what;
};

// What people give to a tape's reader by mistake, by the first bytes.
constexpr std::string_view not_yet = "wiretape cannot import it in this version";
constexpr Look looks[] = {
    {"\xD4\xC3\xB2\xA1", "a pcap file"},   {"\xA1\xB2\xC3\xD4", "a pcap file"},
    {"\x4D\x3C\xB2\xA1", "a pcap file"},   {"\xA1\xB2\x3C\x4D", "a pcap file"},
    {"\x0A\x0D\x0D\x0A", "a pcapng file"},
};

bool starts_with(Bytes bytes, std::string_view text) {
  return as_text(bytes).starts_with(text);
}

std::string_view without_space(std::string_view text) {
  if (text.starts_with("\xEF\xBB\xBF")) text.remove_prefix(3);
  size_t begin = text.find_first_not_of(" \t\r\n");
  return begin == std::string_view::npos ? std::string_view() : text.substr(begin);
}

std::string describe_json(std::string_view text) {
  bool har = text.substr(0, 4096).find("\"log\"") != std::string_view::npos;
  return har ? fmt::format("it looks like a HAR file, and {}", not_yet)
             : "it looks like JSON, perhaps what `wiretape show --json` printed";
}

std::string describe(Bytes bytes) {
  for (const Look& look : looks) {
    if (starts_with(bytes, look.begins_with)) {
      return fmt::format("it looks like {}, and {}", look.what, not_yet);
    }
  }
  if (starts_with(bytes, "\x1F\x8B")) return "it looks like a gzip file (try gunzip first)";
  if (starts_with(bytes, "\x28\xB5\x2F\xFD")) {
    return "it looks like plain zstd (if a tape was packed again, try zstd -d first)";
  }
  std::string_view text = without_space(as_text(bytes));
  if (text.starts_with("{") || text.starts_with("[")) return describe_json(text);
  return "it does not begin as a tape does (name a file that `wiretape record` made)";
}

Error cannot_read(const std::string& path, int error) {
  std::string hint = error == ENOENT ? " (is the name right?)" : "";
  return {ErrorSource::tape, fmt::format("cannot read {}: {}{}", path, strerror(error), hint)};
}

Error not_a_tape(const std::string& path, const std::string& why) {
  return {ErrorSource::tape, fmt::format("{} is not a tape: {}", path, why)};
}

// A tape that was torn inside its very first frame.
bool begins_as_magic(Bytes bytes) {
  MagicBytes magic = encode_magic({format::version, 0});
  size_t count = std::min(bytes.size(), format::frame_head_bytes + format::marker_bytes);
  return count > 0 && bytes.size() < format::magic_frame_bytes &&
         std::memcmp(bytes.data(), magic.data(), count) == 0;
}

}  // namespace

Result<void> TapeReader::Impl::recognise() {
  Bytes bytes = frames_.input().peek(4096);
  if (int error = frames_.input().read_errno(); error != 0) return cannot_read(path_, error);
  if (bytes.empty()) return not_a_tape(path_, "it is empty (was nothing recorded?)");
  if (std::optional<Magic> magic = decode_magic(bytes)) {
    if (magic->version == format::version) return {};
    return Error{ErrorSource::tape,
                 fmt::format("{} is a tape of version {}; this wiretape reads version {} (use a "
                             "newer one)",
                             path_, magic->version, format::version)};
  }
  bool damaged_magic = bytes.size() > format::magic_frame_bytes &&
                       decode_head(bytes.subspan(format::magic_frame_bytes)).has_value();
  if (damaged_magic || begins_as_magic(bytes)) return {};
  return not_a_tape(path_, describe(bytes));
}

const TapeReader::Item* TapeReader::Impl::next() {
  while (true) {
    if (!damage_.empty()) {
      item_ = std::move(damage_.front());
      damage_.pop_front();
      return &item_;
    }
    if (in_block_) {
      if (next_record()) return &item_;
      continue;
    }
    if (ended_) return nullptr;
    Frame frame = frames_.next();
    std::visit([this](const auto& f) { on_frame(f); }, frame);
  }
}

// False when there was none: it does not parse, or the block is over.
bool TapeReader::Impl::next_record() {
  if (!std::holds_alternative<TapeRecord>(item_)) item_.emplace<TapeRecord>();
  auto& record = std::get<TapeRecord>(item_);
  RecordDecoder::Outcome outcome = decoder_.next(record.time_ns, record.event);
  if (outcome == RecordDecoder::Outcome::record) {
    record.part = part_;
    trailer_seen_ = std::holds_alternative<Trailer>(record.event);
    return true;
  }
  if (outcome == RecordDecoder::Outcome::bad_record) ++bad_records_;
  if (outcome == RecordDecoder::Outcome::bad_block) bad_rest_ = true;
  if (outcome == RecordDecoder::Outcome::end) end_block();
  return false;
}

// One report a block, however many of its records are bad.
void TapeReader::Impl::end_block() {
  in_block_ = false;
  if (bad_records_ == 0 && !bad_rest_) return;
  std::string what;
  if (bad_records_ == 1) what = "a record does not parse";
  if (bad_records_ > 1) what = fmt::format("{} records do not parse", bad_records_);
  if (bad_rest_) what += what.empty() ? "" : ", and ";
  if (bad_rest_) what += "the rest of a block holds no records";
  report({block_offset_, 0, 0, head_.first_ns, head_.last_ns, what, bad_records_});
}

void TapeReader::Impl::on_frame(const MagicFrame& frame) {
  begin_part(frame.magic.part_tag, frame.file_offset);
  readable_part_ = frame.magic.version == format::version;
  if (readable_part_) return;
  report({frame.file_offset, format::magic_frame_bytes, 0, -1, -1,
          fmt::format("what follows is a tape of version {}, which this wiretape does not read",
                      frame.magic.version)});
}

void TapeReader::Impl::begin_part(uint32_t tag, uint64_t file_offset) {
  settle(0, -1);
  if (in_part_) {
    if (!trailer_seen_) report({file_offset, 0, 0, -1, -1, "a part ends here without a trailer"});
    ++part_;
  }
  in_part_ = true;
  part_empty_ = true;
  part_tag_ = tag;
  sequence_ = 0;
  last_ns_ = -1;
  trailer_seen_ = false;
  readable_part_ = true;
}

void TapeReader::Impl::on_frame(const BadBytes& bad) {
  settle(0, -1);
  unsettled_ = TapeDamage{bad.file_offset, bad.count, 0, last_ns_, -1, bad.what};
  one_block_ = bad.one_block;
}

// Says what the bad bytes cost, as far as it is known now.
void TapeReader::Impl::settle(uint64_t blocks_lost, int64_t until_ns) {
  if (!unsettled_) return;
  unsettled_->blocks_lost = std::max<uint64_t>(blocks_lost, one_block_ ? 1 : 0);
  unsettled_->last_ns = until_ns;
  report(*std::move(unsettled_));
  unsettled_.reset();
}

void TapeReader::Impl::on_frame(const BlockFrame& block) {
  if (!in_part_ || block.head.part_tag != part_tag_) adopt_part(block);
  part_empty_ = false;
  if (in_sequence(block) && readable_part_) unpack(block);
}

// A block of a part whose magic frame was not seen, or was not right.
void TapeReader::Impl::adopt_part(const BlockFrame& block) {
  if (!unsettled_) {
    report(
        {block.file_offset, 0, 0, -1, -1, "the magic frame before this block is bad or missing"});
  }
  if (in_part_ && part_empty_) {
    part_tag_ = block.head.part_tag;
  } else {
    begin_part(block.head.part_tag, block.file_offset);
  }
}

bool TapeReader::Impl::in_sequence(const BlockFrame& block) {
  const BlockHead& head = block.head;
  if (head.sequence < sequence_) {
    settle(0, -1);
    report({block.file_offset, format::block_head_bytes + head.stored_bytes, 0, head.first_ns,
            head.last_ns, "a block stands where it does not belong"});
    return false;
  }
  uint64_t lost = head.sequence - sequence_;
  if (lost > 0 && !unsettled_) {
    unsettled_ = TapeDamage{block.file_offset, 0, 0, last_ns_, -1, "blocks are missing here"};
    one_block_ = false;
  }
  settle(lost, head.first_ns);
  sequence_ = head.sequence + 1;
  last_ns_ = head.last_ns;
  return true;
}

void TapeReader::Impl::unpack(const BlockFrame& block) {
  trailer_seen_ = false;
  Result<Bytes> raw = unpacker_.unpack(block.frame, block.head);
  if (!raw) {
    report({block.file_offset, format::block_head_bytes + block.head.stored_bytes, 1,
            block.head.first_ns, block.head.last_ns, raw.error().message});
    frames_.distrust_block();
    return;
  }
  head_ = block.head;
  block_offset_ = block.file_offset;
  decoder_.begin(*raw);
  bad_records_ = 0;
  bad_rest_ = false;
  in_block_ = true;
}

void TapeReader::Impl::on_frame(const EndOfFrames& end) {
  settle(0, -1);
  ended_ = true;
  torn_bytes_ = end.torn_bytes;
  if (int error = frames_.input().read_errno(); error != 0) {
    report({frames_.input().offset(), 0, 0, last_ns_, -1,
            fmt::format("reading failed here: {}", strerror(error))});
  }
  end_ = how_it_ended();
}

TapeEnd TapeReader::Impl::how_it_ended() const {
  if (trailer_seen_) return TapeEnd::whole;
  return is_being_written(frames_.input().fd()) ? TapeEnd::being_written : TapeEnd::torn;
}

bool is_being_written(int fd) {
  struct stat info = {};
  if (fstat(fd, &info) != 0 || !S_ISREG(info.st_mode)) return false;
  if (flock(fd, LOCK_SH | LOCK_NB) != 0) return errno == EWOULDBLOCK;
  flock(fd, LOCK_UN);
  return false;
}

TapeReader::TapeReader(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
TapeReader::~TapeReader() = default;

Result<std::unique_ptr<TapeReader>> TapeReader::open(const std::string& path) {
  bool standard_input = path == "-";
  int fd = standard_input ? STDIN_FILENO : ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return cannot_read(path, errno);
  auto impl = std::make_unique<Impl>(standard_input ? "standard input" : path, fd);
  struct stat info = {};
  if (fstat(fd, &info) == 0 && S_ISDIR(info.st_mode)) {
    return not_a_tape(path, "it is a directory (name a file in it)");
  }
  if (Result<void> known = impl->recognise(); !known) return known.error();
  return std::unique_ptr<TapeReader>(new TapeReader(std::move(impl)));
}

const TapeReader::Item* TapeReader::next() {
  return impl_->next();
}
void TapeReader::leave_out_exchanges() {
  impl_->leave_out_exchanges();
}
TapeEnd TapeReader::end() const {
  return impl_->end();
}
uint64_t TapeReader::torn_bytes() const {
  return impl_->torn_bytes();
}
const std::string& TapeReader::path() const {
  return impl_->path();
}

}  // namespace wiretape
