// A run may need its tape more than once: the guard looks through it before anything is sent, and a
// loop begins again at its end. A file can be opened again; a pipe can't, so it is copied.
//
//   file  ---------------------------+
//   pipe  -> unlinked file, 0600 ----+-> descriptor -> /proc/self/fd/N -> TapeReader, one a lap
//
// The descriptor is kept for as long as the run lasts, and opened again by its name in /proc: what
// is read is then the same file, even if another was put in its place meanwhile. The copy has no
// name, so that nothing of a tape stays behind, however the run ends.
#include "replayer/tape_source.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cassert>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <utility>
#include <vector>

namespace wiretape {
namespace {

constexpr size_t copy_bytes = 256 * 1024;

std::string path_of(int fd) {
  return fmt::format("/proc/self/fd/{}", fd);
}

Error cannot_read(const std::string& name, int error) {
  const char* hint = error == ENOENT ? " (is the name right?)" : "";
  return {ErrorSource::tape, fmt::format("cannot read {}: {}{}", name, std::strerror(error), hint)};
}

// Opened anew, it begins at its beginning.
bool can_open_again(int fd) {
  struct stat info {};
  if (fstat(fd, &info) != 0) return false;
  if (S_ISDIR(info.st_mode)) return true;  // the reader has the words for it
  return S_ISREG(info.st_mode) && lseek(fd, 0, SEEK_CUR) == 0 &&
         access(path_of(fd).c_str(), R_OK) == 0;
}

int nameless_file(const std::string& folder) {
  const int fd = ::open(folder.c_str(), O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
  if (fd >= 0) return fd;
  std::string name = folder + "/wiretape-XXXXXX";  // a file system without O_TMPFILE
  const int made = mkostemp(name.data(), O_CLOEXEC);
  if (made >= 0) unlink(name.c_str());
  return made;
}

// False on an error, in errno.
bool write_all(int fd, const std::byte* bytes, size_t count) {
  while (count > 0) {
    const ssize_t n = ::write(fd, bytes, count);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return false;
    bytes += n;
    count -= static_cast<size_t>(n);
  }
  return true;
}

// Closes `from`; gives a descriptor of the copy.
Result<int> copy_to_disk(int from, const std::string& name) {
  const char* set = std::getenv("TMPDIR");
  const std::string folder = set != nullptr && *set != '\0' ? set : "/tmp";
  const int to = nameless_file(folder);
  std::vector<std::byte> buffer(copy_bytes);
  ssize_t n = 1;
  bool written = to >= 0;
  while (written && n != 0) {
    n = ::read(from, buffer.data(), buffer.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) break;
    written = write_all(to, buffer.data(), static_cast<size_t>(n));
  }
  const int error = errno;
  ::close(from);
  if (written && n == 0) return to;
  if (to >= 0) ::close(to);
  if (written) return cannot_read(name, error);
  return Error{ErrorSource::disk,
               fmt::format("cannot copy {} to {}: {} (set TMPDIR to a folder with room)", name,
                           folder, std::strerror(error))};
}

}  // namespace

TapeSource::TapeSource(std::string name, int fd, uint64_t laps)
    : name_(std::move(name)), fd_(fd), path_(path_of(fd)), laps_(laps) {
  assert(laps_ > 0);
}

TapeSource::~TapeSource() {
  reader_.reset();
  ::close(fd_);
}

Result<std::unique_ptr<TapeSource>> TapeSource::open(const std::string& path, uint64_t laps) {
  const bool standard_input = path == "-";
  const std::string name = standard_input ? "standard input" : path;
  int fd = standard_input ? fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 0)
                          : ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return cannot_read(name, errno);
  if (!can_open_again(fd)) {
    auto copy = copy_to_disk(fd, name);
    if (!copy) return copy.error();
    fd = *copy;
  }
  std::unique_ptr<TapeSource> source(new TapeSource(name, fd, laps));
  if (is_being_written(fd)) {
    return Error{ErrorSource::tape,
                 fmt::format("{} is still being written (stop the recording first)", name)};
  }
  auto reader = source->reader();
  if (!reader) return reader.error();
  source->reader_ = std::move(*reader);
  source->totals_ = tape_totals(source->path_);
  return source;
}

// With errors in the user's words.
Result<std::unique_ptr<TapeReader>> TapeSource::reader() const {
  auto reader = TapeReader::open(path_);
  if (reader) {
    (*reader)->leave_out_exchanges();  // the schedule finds them in the bytes
    return reader;
  }
  Error error = reader.error();
  if (const size_t at = error.message.find(path_); at != std::string::npos) {
    error.message.replace(at, path_.size(), name_);
  }
  return error;
}

const TapeReader::Item* TapeSource::next() {
  while (true) {
    if (const auto* item = reader_->next()) return renumbered(*item);
    if (lap_ + 1 >= laps_) return nullptr;
    auto again = reader();
    if (!again) {
      failure_ = again.error();
      return nullptr;
    }
    reader_ = std::move(*again);
    ++lap_;
    parts_before_ = last_part_ + 1;
  }
}

const TapeReader::Item* TapeSource::renumbered(const TapeReader::Item& item) {
  const auto* record = std::get_if<TapeRecord>(&item);
  if (record == nullptr) return &item;
  last_part_ = parts_before_ + record->part;
  if (lap_ == 0) return &item;
  item_ = *record;
  std::get<TapeRecord>(item_).part = last_part_;
  return &item_;
}

}  // namespace wiretape
