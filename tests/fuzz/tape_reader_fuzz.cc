// Any bytes may be given to a tape's reader: it must come to an end, stay in its memory, and hand
// out nothing that the check or an encoder trips over.
//
// Checksums keep a fuzzer from ever seeing what is behind them, so an input that begins with 'R' is
// taken for the records of a block and put into a proper tape; any other is the file itself.
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <string>

#include "proto/block.h"
#include "proto/record_encoder.h"
#include "proto/tape_check.h"
#include "proto/tape_reader.h"

using namespace wiretape;

namespace {

std::string tape_of(Bytes records) {
  static BlockPacker packer;
  BlockBuffer block;
  records = records.first(std::min(records.size(), block.room()));
  std::memcpy(block.end(), records.data(), records.size());
  block.set_end(block.end() + records.size());
  BlockPacker::Frame frame = packer.pack(block, 0);
  BlockHead head;
  head.raw_bytes = static_cast<uint32_t>(frame.raw_bytes);
  head.stored_bytes = static_cast<uint32_t>(frame.stored_bytes());
  head.stored_checksum = frame.checksum();
  std::string out(as_text(encode_magic({tape_format::version, 0})));
  out += as_text(encode_head(head));
  for (Bytes piece : frame.pieces) out += as_text(piece);
  return out;
}

void read_all(const std::string& path) {
  if (Result<BlockList> list = list_blocks(path); !list.ok()) return;
  auto reader = TapeReader::open(path);
  TapeCheck check;
  std::string encoded;
  while (const TapeReader::Item* item = (*reader)->next()) {
    check.feed(*item);
    const auto* record = std::get_if<TapeRecord>(item);
    if (!record) continue;
    encoded.clear();
    encode_record(encoded, record->time_ns, record->event);
  }
  TapeFindings findings = check.finish(**reader);
  if (findings.whole() && (*reader)->end() != TapeEnd::whole) abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const int fd = memfd_create("tape", MFD_CLOEXEC);
  static const std::string path = "/proc/self/fd/" + std::to_string(fd);
  std::string file(reinterpret_cast<const char*>(data), size);
  if (size > 1 && data[0] == 'R') file = tape_of(as_bytes(file).subspan(1));
  auto count = static_cast<ssize_t>(file.size());
  if (ftruncate(fd, 0) != 0 || pwrite(fd, file.data(), file.size(), 0) != count) abort();
  read_all(path);
  return 0;
}
