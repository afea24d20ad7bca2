// Disks that fill up at a test's word: a tmpfs of a few MiB that nobody else sees (it is unmounted
// as soon as it is open, so nothing is left behind, whatever happens), and, where mounting is not
// allowed, the limit on file sizes.
#pragma once

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <unistd.h>

#include <csignal>
#include <string>

#include "tests/support/tape_support.h"

namespace wiretape::test {

class SmallDisk {
 public:
  enum class Kind { tmpfs, size_limit };

  explicit SmallDisk(Kind kind) : kind_(kind) {
    if (kind_ == Kind::size_limit) {
      limit_files();
      return;
    }
    if (::mount("none", dir_.path().c_str(), "tmpfs", 0, "size=2m,mode=700") != 0) return;
    fd_ = ::open(dir_.path().c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    ::umount2(dir_.path().c_str(), MNT_DETACH);
  }
  ~SmallDisk() {
    free();
    if (fd_ >= 0) ::close(fd_);
    if (kind_ == Kind::size_limit) std::signal(SIGXFSZ, before_);
  }
  SmallDisk(const SmallDisk&) = delete;
  SmallDisk& operator=(const SmallDisk&) = delete;

  bool available() const { return kind_ == Kind::size_limit || fd_ >= 0; }
  std::string operator/(const std::string& name) const {
    return fd_ < 0 ? dir_ / name : "/proc/self/fd/" + std::to_string(fd_) + "/" + name;
  }

  // No file can grow from now on.
  void fill() {
    if (kind_ == Kind::size_limit) return set_limit(64 * 1024);
    const int fd = ::open((*this / "filler").c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    const std::string bytes(4096, 'x');
    while (::write(fd, bytes.data(), bytes.size()) > 0) {
    }
    ::close(fd);
  }
  void free() {
    if (kind_ == Kind::size_limit) return set_limit(hard_);
    ::unlink((*this / "filler").c_str());
  }

 private:
  void limit_files() {
    before_ = std::signal(SIGXFSZ, SIG_IGN);
    rlimit limit{};
    getrlimit(RLIMIT_FSIZE, &limit);
    hard_ = limit.rlim_max;
  }
  void set_limit(rlim_t bytes) const {
    const rlimit limit{bytes, hard_};
    setrlimit(RLIMIT_FSIZE, &limit);
  }

  const Kind kind_;
  TempDir dir_;
  int fd_ = -1;
  rlim_t hard_ = RLIM_INFINITY;
  void (*before_)(int) = SIG_DFL;
};

}  // namespace wiretape::test
