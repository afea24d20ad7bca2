// The promise of docs/tape_format.md that stock tools read a tape:
//
//   zstd -dc t.tape | protoc --decode=wiretape.v1.Tape proto/tape.proto
//
// run as a user would, on whole tapes and on tapes torn anywhere.
#include <gmock/gmock.h>

#include <array>
#include <cstdio>

#include "tests/support/tape_support.h"

namespace wiretape {
namespace {

using test::read_file;
using test::Sample;
using test::TempDir;
using test::write_file;
using test::write_sample;

std::string output_of(const std::string& command) {
  std::string out;
  FILE* pipe = popen(command.c_str(), "r");
  if (pipe == nullptr) return "popen failed";
  std::array<char, 65536> buffer;
  while (size_t count = fread(buffer.data(), 1, buffer.size(), pipe)) {
    out.append(buffer.data(), count);
  }
  pclose(pipe);
  return out;
}

// How many records the stock tools print.
size_t printed(const std::string& path) {
  std::string schema = WIRETAPE_SOURCE_DIR;
  std::string text = output_of("zstd -dcq '" + path + "' 2>/dev/null | protoc --proto_path='" +
                               schema + "' --decode=wiretape.v1.Tape proto/tape.proto");
  size_t count = text.starts_with("record {") ? 1 : 0;
  for (size_t at = text.find("\nrecord {"); at != std::string::npos;
       at = text.find("\nrecord {", at + 1)) {
    ++count;
  }
  return count;
}

class StockTools : public testing::TestWithParam<int> {};
INSTANTIATE_TEST_SUITE_P(Levels, StockTools, testing::Values(0, 1));

TEST_P(StockTools, PrintAWholeTape) {
  TempDir dir;
  Sample sample;
  sample.level = GetParam();
  sample.records = 3000;
  sample.records_a_block = 1'000'000;
  std::vector<std::string> written = write_sample(dir / "t.tape", sample);
  EXPECT_EQ(printed(dir / "t.tape"), written.size());
}

TEST_P(StockTools, PrintEveryWholeRecordOfATornTape) {
  TempDir dir;
  Sample sample;
  sample.level = GetParam();
  sample.records = 60;
  sample.chunk_bytes_max = 500;
  sample.records_a_block = 8;
  write_sample(dir / "whole.tape", sample);
  std::string tape = read_file(dir / "whole.tape");
  std::mt19937 random(8);
  size_t some = 0;
  for (int i = 0; i < 200 && !HasFailure(); ++i) {
    size_t cut = 25 + random() % (tape.size() - 25);
    write_file(dir / "t.tape", std::string_view(tape).substr(0, cut));
    size_t records = test::read_tape(dir / "t.tape").records.size();
    // Where a block lacks only (some of) its frame's checksum, zstd hands it out all the same.
    write_file(dir / "longer.tape", std::string_view(tape).substr(0, cut + 4));
    size_t unproven = test::read_tape(dir / "longer.tape").records.size();
    EXPECT_THAT(printed(dir / "t.tape"), testing::AnyOf(records, unproven)) << "torn at " << cut;
    some += records > 0 ? 1 : 0;
  }
  EXPECT_GT(some, 150u);
}

// What zstd would leave uncompressed is what tears badly.
TEST(StockTools, PrintEveryWholeRecordOfATornTapeOfNoise) {
  TempDir dir;
  std::mt19937 random(9);
  auto writer = test::create(dir / "whole.tape");
  std::string noise(60'000, '\0');
  for (char& c : noise) c = static_cast<char>(random());
  for (int i = 0; i < 4; ++i) {
    ASSERT_TRUE(writer->write_chunk(i, 1, Direction::client_to_server, 0, as_bytes(noise)).ok());
  }
  ASSERT_TRUE(writer->finish(9, Trailer()).ok());
  std::string tape = read_file(dir / "whole.tape");
  for (int i = 0; i < 50 && !HasFailure(); ++i) {
    size_t cut = 25 + random() % (tape.size() - 25);
    write_file(dir / "t.tape", std::string_view(tape).substr(0, cut));
    EXPECT_EQ(printed(dir / "t.tape"), test::read_tape(dir / "t.tape").records.size()) << cut;
  }
}

}  // namespace
}  // namespace wiretape
