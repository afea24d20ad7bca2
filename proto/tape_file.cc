// What a disk can do to a tape is dealt with here: it fills up, it fails, somebody else writes.
//
//   0 ........ size_ ............ size_ + block ........ + 64 KiB ........ allocated_
//   | whole      | the next block, | reserve for trailer    | room taken
//   | blocks     | if it fits      | and index              | 1 MiB ahead
//
// Room is taken with fallocate(KEEP_SIZE) before anything is written, so that a full disk is
// noticed while the file is still whole, and so that the trailer and the index fit on a disk that
// filled up meanwhile. Where a write fails all the same, the file is cut back to its last whole
// block. The lock is taken before an existing file is cut: it may be a tape that is being written.
//
// Invariant: on disk, the file is size_ bytes long whenever no call is under way.
#include "proto/tape_file.h"

#include <fcntl.h>
#include <fmt/core.h>
#include <poll.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include <array>
#include <cassert>
#include <cerrno>
#include <cstring>
#include <ctime>

#include "proto/tape_format.h"

namespace wiretape {

namespace {

constexpr uint64_t room_ahead_bytes = 1024 * 1024;
constexpr size_t pieces_max = 8;
constexpr int lock_attempts_max = 5;

using Iovecs = std::array<iovec, pieces_max>;

Error cannot_create(const std::string& path, int error) {
  std::string hint;
  if (error == ENOENT) hint = " (does its folder exist?)";
  if (error == EACCES || error == EROFS) hint = " (choose a folder that you may write to)";
  return {ErrorSource::disk, fmt::format("cannot create {}: {}{}", path, strerror(error), hint)};
}

Error exists(const std::string& path) {
  struct stat info = {};
  if (stat(path.c_str(), &info) == 0 && S_ISDIR(info.st_mode)) {
    return {ErrorSource::usage, fmt::format("{} is a directory (name a file in it)", path)};
  }
  return {ErrorSource::usage, fmt::format("{} exists (use -f to overwrite it)", path)};
}

// A reader takes the lock for a moment to see whether a writer holds it: try again.
bool lock(int fd) {
  for (int attempt = 0; attempt < lock_attempts_max; ++attempt) {
    if (flock(fd, LOCK_EX | LOCK_NB) == 0) return true;
    if (errno != EWOULDBLOCK && errno != EINTR) return true;  // there are no locks here
    timespec moment = {0, 1'000'000};
    nanosleep(&moment, nullptr);
  }
  return false;
}

size_t total(std::span<const Bytes> pieces) {
  size_t count = 0;
  for (Bytes piece : pieces) count += piece.size();
  return count;
}

// What is left of the pieces after their first `done` bytes.
size_t rest_of(std::span<const Bytes> pieces, size_t done, Iovecs& out) {
  size_t count = 0;
  for (Bytes piece : pieces) {
    size_t skip = std::min(done, piece.size());
    done -= skip;
    if (skip == piece.size()) continue;
    out[count++] = {const_cast<std::byte*>(piece.data() + skip), piece.size() - skip};
  }
  return count;
}

void wait_until_writable(int fd) {
  pollfd waiting = {fd, POLLOUT, 0};
  poll(&waiting, 1, -1);
}

// Writes all of it; gives errno, and in `done` how much was written.
int write_all(int fd, std::span<const Bytes> pieces, size_t& done) {
  size_t count = total(pieces);
  while (done < count) {
    Iovecs rest;
    ssize_t wrote = writev(fd, rest.data(), static_cast<int>(rest_of(pieces, done, rest)));
    if (wrote >= 0) {
      done += static_cast<size_t>(wrote);
    } else if (errno == EAGAIN) {
      wait_until_writable(fd);
    } else if (errno != EINTR) {
      return errno;
    }
  }
  return 0;
}

}  // namespace

Result<std::unique_ptr<TapeFile>> TapeFile::standard_output() {
  if (isatty(STDOUT_FILENO)) {
    return Error{ErrorSource::usage,
                 "standard output is a terminal (name a file with -o, or send it to a pipe)"};
  }
  return std::unique_ptr<TapeFile>(new TapeFile("standard output", STDOUT_FILENO));
}

Result<std::unique_ptr<TapeFile>> TapeFile::create(const std::string& path,
                                                   TapeWriter::IfExists if_exists) {
  if (path == "-") return standard_output();
  constexpr int flags = O_WRONLY | O_CREAT | O_CLOEXEC;
  int fd = open(path.c_str(), flags | O_EXCL, 0600);
  bool created = fd >= 0;
  if (!created && errno == EEXIST) {
    if (if_exists == TapeWriter::IfExists::refuse) return exists(path);
    fd = open(path.c_str(), flags, 0600);
  }
  if (fd < 0) return cannot_create(path, errno);
  std::unique_ptr<TapeFile> file(new TapeFile(path, fd));
  file->created_ = created;
  if (Result<void> taken = file->take_over(); !taken) return taken.error();
  return file;
}

TapeFile::~TapeFile() {
  if (fd_ != STDOUT_FILENO) close(fd_);
}

// Locks the file and empties it.
Result<void> TapeFile::take_over() {
  struct stat info = {};
  on_disk_ = fstat(fd_, &info) == 0 && S_ISREG(info.st_mode);
  if (!on_disk_) return {};
  if (!lock(fd_)) {
    return Error{ErrorSource::usage,
                 fmt::format("{} is being written by another process (choose another name, or stop "
                             "that process)",
                             path_)};
  }
  if (ftruncate(fd_, 0) != 0 || fchmod(fd_, 0600) != 0) return cannot_create(path_, errno);
  return {};
}

Result<void> TapeFile::append(std::span<const Bytes> pieces, TapeWriter::Reserve reserve) {
  assert(pieces.size() <= pieces_max);
  if (broken_) return failed(EPIPE);
  size_t count = total(pieces);
  if (Result<void> room = make_room(size_ + count, reserve); !room) return room;
  size_t done = 0;
  if (int error = write_all(fd_, pieces, done); error != 0) {
    if (on_disk_ && ftruncate(fd_, static_cast<off_t>(size_)) == 0) {
      lseek(fd_, static_cast<off_t>(size_), SEEK_SET);
      allocated_ = size_;  // what was taken ahead went with the cut
    } else {
      broken_ = done > 0;
    }
    return failed(error);
  }
  size_ += count;
  return {};
}

Result<void> TapeFile::make_room(uint64_t end, TapeWriter::Reserve reserve) {
  if (!on_disk_ || !can_allocate_) return {};
  uint64_t need = end + (reserve == TapeWriter::Reserve::keep ? tape_format::reserve_bytes : 0);
  if (need <= allocated_) return {};
  int error = allocate_up_to(need + room_ahead_bytes);
  if (error == ENOSPC || error == EDQUOT || error == EFBIG) error = allocate_up_to(need);
  if (error == EOPNOTSUPP || error == ENOSYS) can_allocate_ = false;
  return error == 0 || !can_allocate_ ? Result<void>() : failed(error);
}

// Gives errno.
int TapeFile::allocate_up_to(uint64_t end) {
  int status = 0;
  do {
    status = fallocate(fd_, FALLOC_FL_KEEP_SIZE, static_cast<off_t>(allocated_),
                       static_cast<off_t>(end - allocated_));
  } while (status != 0 && errno == EINTR);
  if (status != 0) return errno;
  allocated_ = end;
  return 0;
}

void TapeFile::release_room() {
  if (!on_disk_) return;
  // Only room is lost when this fails; the tape is whole.
  [[maybe_unused]] int status = ftruncate(fd_, static_cast<off_t>(size_));
  allocated_ = size_;
}

void TapeFile::undo_create() {
  if (created_) unlink(path_.c_str());
}

Error TapeFile::failed(int error) const {
  std::string hint;
  if (error == ENOSPC || error == EDQUOT) hint = " (make room on that disk)";
  if (error == EFBIG) hint = " (the limit on file sizes is reached: see ulimit -f)";
  if (error == EPIPE) hint = " (whoever read it has gone)";
  return {ErrorSource::disk, fmt::format("cannot write {}: {}{}", path_, strerror(error), hint)};
}

}  // namespace wiretape
