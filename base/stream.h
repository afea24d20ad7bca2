// One end of a connection: a connected TCP or unix socket on a loop. The relay and the replayer
// know this type and no other, so that what is under it (plain text now) is nobody's business.
//
// Reading: on_read gets the bytes in the loop's shared buffer, valid during the call.
// Writing: write() hands the kernel what it takes at once and keeps the rest; the caller watches
// pending_bytes() and stops reading the other side at pending_bytes_high, until on_drained.
//
// Not thread-safe: all of it on the loop's thread. A Stream must stay where it is, and alive until
// on_closed. No callback is made from within write(), shutdown() or close().
#pragma once

#include <uv.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "base/address.h"
#include "base/loop.h"
#include "base/result.h"

namespace wiretape {

class Stream;

class StreamHandler {
 public:
  virtual ~StreamHandler() = default;

  // Asked right before each read. False pauses reading until read_start(): afterwards it would be
  // too late to find room for the bytes.
  virtual bool may_read(Stream&) { return true; }
  virtual void on_read(Stream&, std::span<const std::byte> bytes) = 0;
  // The peer sent FIN: there is nothing more to read. Writing may go on.
  virtual void on_end(Stream&) = 0;
  // The connection is gone in both directions: `error` is negative as in libuv, UV_ECONNRESET for
  // a reset. Called at most once, and nothing but on_closed after it.
  virtual void on_broken(Stream&, int error) = 0;
  // Pending bytes fell to pending_bytes_low or below after they had risen above it.
  virtual void on_drained(Stream&) {}
  // Everything written was taken by the kernel, after some of it had to wait.
  virtual void on_flushed(Stream&) {}
  // Pending bytes could not be written: the peer is gone or takes no more. What it sent before may
  // still be read; on_end or on_broken follows unless reading had already ended.
  virtual void on_write_failed(Stream&) {}
  // The kernel has let go of the socket; the Stream may be destroyed.
  virtual void on_closed(Stream&) = 0;
};

class Stream {
 public:
  // Watermarks: reading the one side stops when this much waits for the other (docs: Envoy's flow
  // control is the model), and goes on when it fell to the low mark.
  static constexpr size_t pending_bytes_high = 256 * 1024;
  static constexpr size_t pending_bytes_low = 64 * 1024;

  explicit Stream(StreamHandler& handler);
  ~Stream();
  Stream(const Stream&) = delete;
  Stream& operator=(const Stream&) = delete;

  // Takes over a connected socket; bytes written before are sent now. On failure the descriptor is
  // closed, and the stream still has to be: close().
  Result<void> open(Loop& loop, int fd, int family);
  bool is_open() const { return state_ == State::open; }
  bool is_closed() const { return state_ == State::closed; }

  // From now on arrived_ns() tells when the bytes that on_read gets reached this machine
  // (CLOCK_MONOTONIC, of their last one). Costs some 100 ns a read.
  void note_arrivals();
  int64_t arrived_ns() const { return arrived_ns_; }

  void read_start();
  void read_stop();
  bool reading() const { return reading_; }

  // Sends, or keeps until the kernel takes it, or until open(). Bytes for a broken or closed
  // stream are dropped; write_failed() tells.
  void write(std::span<const std::byte> bytes);
  size_t pending_bytes() const;
  bool write_failed() const { return write_failed_; }
  bool read_ended() const { return ended_; }

  // FIN, behind the pending bytes.
  void shutdown();
  // True once FIN was handed to the kernel.

  // Closes at once; what is pending is lost, what the kernel has accepted is still delivered.
  // on_closed follows if the stream was open.
  void close();
  // RST instead of FIN. Waits until the peer has acknowledged what was written before, at most
  // reset_wait_max_ns, because a reset overtakes data.
  void reset_when_flushed();
  static constexpr int64_t reset_wait_max_ns = 1'000'000'000;

  // For streams that had their end of file and may still be written to: whether a reset has come
  // since. A socket at end of file is not polled, so this must be asked.
  bool was_reset() const;

  // Bytes written to the socket so far that the peer has not acknowledged; 0 for unix sockets.
  int unacknowledged_bytes() const;

 private:
  enum class State : uint8_t { fresh, open, closing, closed };
  struct Pending;  // only while something is pending
  struct Linger;   // only while a reset waits

  static void on_readable(uv_stream_t* handle, ssize_t status, const uv_buf_t* buffer);
  bool read_once();
  ssize_t receive_noting(std::span<char> into);
  static void on_written(uv_write_t* request, int status);
  void end_of_file();
  void broken(int error);
  void keep(std::span<const std::byte> bytes);
  void write_pending();
  void written(int status);
  void fail_writing(int status);
  void send_fin();
  void reset_now();
  uv_stream_t* raw() { return &uv_.stream; }
  uv_handle_t* raw_handle() { return &uv_.handle; }

  union Handle {
    uv_handle_t handle;
    uv_stream_t stream;
    uv_tcp_t tcp;
  };

  Handle uv_;
  StreamHandler& handler_;
  int fd_ = -1;
  int64_t arrived_ns_ = 0;
  std::unique_ptr<Pending> pending_;
  std::unique_ptr<Linger> linger_;
  State state_ = State::fresh;
  bool reading_ = false;
  bool ended_ = false;  // end of file was read, or the stream broke
  bool write_failed_ = false;
  bool shutdown_wanted_ = false;
  bool shut_down_ = false;
  bool above_low_ = false;
  bool is_tcp_ = true;
  bool notes_arrivals_ = false;
};

}  // namespace wiretape
