// Where a run's tape comes from: a file or a pipe, once or several times.
#include "replayer/tape_source.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/file.h>
#include <unistd.h>

#include <filesystem>
#include <thread>

#include "tests/support/tape_support.h"

namespace wiretape {
namespace {

using test::TempDir;

struct Read {
  std::vector<std::string> records;
  std::vector<uint32_t> parts;
};

Read read_all(TapeSource& source) {
  Read read;
  while (const auto* item = source.next()) {
    const auto& record = std::get<TapeRecord>(*item);
    read.records.push_back(test::bytes_of(record.time_ns, record.event));
    read.parts.push_back(record.part);
  }
  return read;
}

// A pipe with all of `bytes`, as a path.
class Pipe {
 public:
  explicit Pipe(std::string bytes) : bytes_(std::move(bytes)) {
    EXPECT_EQ(pipe2(ends_, O_CLOEXEC), 0);
    writer_ = std::thread([this] {
      for (size_t at = 0; at < bytes_.size();) {
        const ssize_t n = ::write(ends_[1], bytes_.data() + at, bytes_.size() - at);
        if (n <= 0) break;
        at += static_cast<size_t>(n);
      }
      ::close(ends_[1]);
    });
  }
  ~Pipe() {
    char rest[4096];
    while (::read(ends_[0], rest, sizeof rest) > 0) {
    }
    ::close(ends_[0]);
    writer_.join();
  }
  std::string path() const { return "/proc/self/fd/" + std::to_string(ends_[0]); }

 private:
  std::string bytes_;
  int ends_[2] = {-1, -1};
  std::thread writer_;
};

TEST(TapeSource, AFileIsReadAsItIs) {
  const TempDir folder;
  const auto records = test::write_sample(folder / "a.tape", {});
  auto source = TapeSource::open(folder / "a.tape", 1);
  ASSERT_TRUE(source.ok()) << source.error().message;
  EXPECT_EQ((*source)->name(), folder / "a.tape");
  EXPECT_EQ(read_all(**source).records, records);
  EXPECT_EQ((*source)->end(), TapeEnd::whole);
}

TEST(TapeSource, LapsAreLikeOneFileWithMoreParts) {
  const TempDir folder;
  test::write_sample(folder / "a.tape", {.seed = 1});
  test::write_sample(folder / "b.tape", {.seed = 2});
  const std::string both = test::read_file(folder / "a.tape") + test::read_file(folder / "b.tape");
  test::write_file(folder / "both.tape", both);
  test::write_file(folder / "thrice.tape", both + both + both);
  auto source = TapeSource::open(folder / "both.tape", 3);
  ASSERT_TRUE(source.ok());
  const Read read = read_all(**source);
  const auto expected = test::read_tape(folder / "thrice.tape");
  EXPECT_EQ(read.records, expected.records);
  EXPECT_EQ(read.parts, expected.parts);
}

TEST(TapeSource, APipeIsCopiedAndCanBeReadAgain) {
  const TempDir folder;
  const auto records = test::write_sample(folder / "a.tape", {.records = 3000});
  const Pipe pipe(test::read_file(folder / "a.tape"));
  auto source = TapeSource::open(pipe.path(), 2);
  ASSERT_TRUE(source.ok()) << source.error().message;
  EXPECT_EQ(test::read_tape((*source)->path()).records, records);
  EXPECT_EQ(read_all(**source).records.size(), 2 * records.size());
}

TEST(TapeSource, TheFileMayBeTakenAwayMeanwhile) {
  const TempDir folder;
  const auto records = test::write_sample(folder / "a.tape", {});
  auto source = TapeSource::open(folder / "a.tape", 2);
  std::filesystem::remove(folder / "a.tape");
  EXPECT_EQ(read_all(**source).records.size(), 2 * records.size());
}

TEST(TapeSource, AFinishedLapIsTheLast) {
  const TempDir folder;
  const auto records = test::write_sample(folder / "a.tape", {});
  auto source = TapeSource::open(folder / "a.tape", 1'000'000);
  (*source)->next();
  (*source)->finish_lap();
  EXPECT_EQ(read_all(**source).records.size(), records.size() - 1);
}

TEST(TapeSource, WhatIsNoTapeIsNamedAsTheUserNamesIt) {
  const TempDir folder;
  test::write_file(folder / "text", "this is no tape at all, only some text in a file\n");
  auto source = TapeSource::open(folder / "text", 1);
  ASSERT_FALSE(source.ok());
  EXPECT_EQ(source.error().source, ErrorSource::tape);
  EXPECT_NE(source.error().message.find(folder / "text"), std::string::npos);
  EXPECT_EQ(source.error().message.find("/proc/"), std::string::npos);
  EXPECT_FALSE(TapeSource::open(folder / "gone", 1).ok());
}

TEST(TapeSource, ATapeThatIsBeingWrittenIsRefused) {
  const TempDir folder;
  auto writer = test::create(folder / "a.tape");
  auto source = TapeSource::open(folder / "a.tape", 1);
  ASSERT_FALSE(source.ok());
  EXPECT_NE(source.error().message.find("still being written"), std::string::npos);
}

TEST(TapeSource, NoRoomForTheCopyIsSaid) {
  const TempDir folder;
  test::write_sample(folder / "a.tape", {});
  const Pipe pipe(test::read_file(folder / "a.tape"));
  const char* before = std::getenv("TMPDIR");
  const std::string saved = before != nullptr ? before : "/tmp";
  setenv("TMPDIR", (folder / "no-such-folder").c_str(), 1);
  auto source = TapeSource::open(pipe.path(), 1);
  setenv("TMPDIR", saved.c_str(), 1);
  ASSERT_FALSE(source.ok());
  EXPECT_EQ(source.error().source, ErrorSource::disk);
  EXPECT_NE(source.error().message.find("set TMPDIR"), std::string::npos);
}

}  // namespace
}  // namespace wiretape
