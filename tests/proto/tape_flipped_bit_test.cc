// Every bit of a tape, flipped one at a time: none may go unnoticed, whatever it stands for.
#include <gtest/gtest.h>

#include "proto/tape_format.h"
#include "tests/support/tape_support.h"

namespace wiretape {
namespace {

using test::read_file;
using test::read_tape;
using test::Readout;
using test::Sample;
using test::TempDir;
using test::write_file;
using test::write_sample;

// A file whose bits are flipped in place, and back.
class FlippableTape {
 public:
  explicit FlippableTape(const std::string& tape) : bytes_(tape) {
    write_file(path(), tape);
    file_.open(path(), std::ios::binary | std::ios::in | std::ios::out);
  }
  std::string path() const { return dir_ / "t.tape"; }
  size_t bits() const { return 8 * bytes_.size(); }
  void flip(size_t bit) {
    char& byte = bytes_[bit / 8];
    byte = static_cast<char>(byte ^ (1 << bit % 8));
    file_.seekp(static_cast<std::streamoff>(bit / 8)).put(byte).flush();
    ASSERT_TRUE(file_.good());
  }

 private:
  TempDir dir_;
  std::string bytes_;
  std::fstream file_;
};

// Two parts, so that a magic frame and an index stand in the middle too.
std::string two_parts(int level) {
  TempDir dir;
  Sample sample;
  sample.level = level;
  sample.records = 6;
  sample.chunk_bytes_max = 150;
  sample.records_a_block = 4;
  sample.connections = 2;
  write_sample(dir / "first", sample);
  ++sample.seed;
  write_sample(dir / "second", sample);
  return read_file(dir / "first") + read_file(dir / "second");
}

// An error, or a finding.
bool is_noticed(const std::string& path) {
  auto reader = TapeReader::open(path);
  if (!reader.ok()) return true;
  TapeCheck check;
  while (const TapeReader::Item* item = (*reader)->next()) check.feed(*item);
  return !check.finish(**reader).whole();
}

class EveryBit : public testing::TestWithParam<int> {};
INSTANTIATE_TEST_SUITE_P(Levels, EveryBit, testing::Values(0, 1, 19));

TEST_P(EveryBit, FlippedIsNoticed) {
  FlippableTape tape(two_parts(GetParam()));
  ASSERT_FALSE(is_noticed(tape.path())) << "nothing is flipped yet";
  for (size_t bit = 0; bit < tape.bits(); ++bit) {
    tape.flip(bit);
    EXPECT_TRUE(is_noticed(tape.path())) << "bit " << bit % 8 << " of byte " << bit / 8;
    tape.flip(bit);
  }
  EXPECT_FALSE(is_noticed(tape.path())) << "everything is as it was";
}

TEST(FlippedIndex, CostsNoRecordAndIsNotTakenForABlock) {
  std::string whole = two_parts(1);
  std::string_view marker(reinterpret_cast<const char*>(tape_format::index_marker.data()),
                          tape_format::marker_bytes);
  FlippableTape tape(whole);
  size_t records = read_tape(tape.path()).records.size();
  for (size_t found : {whole.find(marker), whole.rfind(marker)}) {
    size_t begin = found - tape_format::frame_head_bytes;
    for (size_t byte = begin; byte < found + tape_format::marker_bytes + 16; ++byte) {
      SCOPED_TRACE(testing::Message() << "byte " << byte - begin << " of the index");
      tape.flip(8 * byte);
      Readout read_back = read_tape(tape.path());
      EXPECT_EQ(read_back.records.size(), records);
      EXPECT_EQ(read_back.findings.blocks_lost, 0u);
      EXPECT_FALSE(read_back.findings.whole());
      tape.flip(8 * byte);
    }
  }
}

}  // namespace
}  // namespace wiretape
