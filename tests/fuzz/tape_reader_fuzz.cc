// Any bytes may be given to a tape's reader: it must come to an end, stay in its memory, and hand
// out nothing that the check or an encoder trips over.
#include <sys/mman.h>
#include <unistd.h>

#include <cstdint>
#include <cstdlib>
#include <string>

#include "proto/record_encoder.h"
#include "proto/tape_check.h"
#include "proto/tape_reader.h"

using namespace wiretape;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const int fd = memfd_create("tape", MFD_CLOEXEC);
  static const std::string path = "/proc/self/fd/" + std::to_string(fd);
  if (ftruncate(fd, 0) != 0 || pwrite(fd, data, size, 0) != static_cast<ssize_t>(size)) abort();

  if (Result<BlockList> list = list_blocks(path); !list.ok()) return 0;
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
  return 0;
}
