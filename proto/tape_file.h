// The file under a tape while it is written: what is in it is whole at any moment, and there is
// room behind it for the end.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "base/result.h"
#include "proto/tape_writer.h"

namespace wiretape {

class TapeFile {
 public:
  // Creates the file with mode 0600 and locks it; "-" is standard output.
  static Result<std::unique_ptr<TapeFile>> create(const std::string& path,
                                                  TapeWriter::IfExists if_exists);
  ~TapeFile();
  TapeFile(const TapeFile&) = delete;
  TapeFile& operator=(const TapeFile&) = delete;

  // Adds all of the pieces with one writev(2), or nothing.
  Result<void> append(std::span<const Bytes> pieces, TapeWriter::Reserve reserve);
  // Gives the room behind the end back.
  void release_room();
  // Takes the file away again, if it was us who made it.
  void undo_create();

  uint64_t size() const { return size_; }
  const std::string& path() const { return path_; }

 private:
  TapeFile(std::string path, int fd) : path_(std::move(path)), fd_(fd) {}
  static Result<std::unique_ptr<TapeFile>> standard_output();
  Result<void> take_over();
  Result<void> make_room(uint64_t end, TapeWriter::Reserve reserve);
  int allocate_up_to(uint64_t end);
  Error failed(int error) const;

  std::string path_;
  int fd_;
  bool created_ = false;      // it did not exist before
  bool on_disk_ = false;      // a regular file: can be locked, cut and allocated
  bool can_allocate_ = true;  // its file system knows fallocate(2)
  bool broken_ = false;       // a pipe took half of something
  uint64_t size_ = 0;
  uint64_t allocated_ = 0;  // room is sure up to here
};

}  // namespace wiretape
