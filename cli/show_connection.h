// One connection of a tape, in both directions, with times: `show --connection`.
#pragma once

#include <cstdint>
#include <cstdio>
#include <memory>
#include <optional>
#include <string_view>

#include "cli/tape_walk.h"

namespace wiretape {

// Which connection: "3" is connection 3 of the first part that has it, "1:3" that of part 1.
struct ConnectionChoice {
  std::optional<uint32_t> part;
  ConnectionId id = 0;
};

enum class ConnectionView {
  turns,   // a line for each read, with the beginning of its bytes
  bodies,  // the messages' bodies, as they are; where it is not HTTP, all bytes
  hex,     // all bytes with their offsets
};

class ConnectionPrinter : public TapeVisitor {
 public:
  ConnectionPrinter(ConnectionChoice choice, ConnectionView view);
  ~ConnectionPrinter() override;

  void on_record(const TapeRecord& record) override;
  bool enough() const override { return over_ || std::ferror(stdout) != 0; }
  bool found() const { return found_; }
  ConnectionId highest_seen() const { return highest_seen_; }

 private:
  class Bodies;
  bool is_it(uint32_t part, ConnectionId id);
  void print_chunk(const Chunk& chunk);
  void line(std::string_view who, std::string_view what) const;

  void take(ConnectionId id, const Opened& opened);
  void take(ConnectionId id, const Connected& connected);
  void take(ConnectionId id, const Chunk& chunk);
  void take(ConnectionId id, const HalfClosed& half_closed);
  void take(ConnectionId id, const Closed& closed);
  void take(ConnectionId id, const Gap& gap);
  void take(ConnectionId id, const ProtocolFound& found);
  void take(ConnectionId id, const Send& send);
  void take(ConnectionId id, const Tls& tls);

  ConnectionChoice choice_;
  const ConnectionView view_;
  std::unique_ptr<Bodies> bodies_;
  uint32_t part_ = 0;
  int64_t now_ns_ = 0;
  size_t width_ = 0;
  bool found_ = false;
  bool over_ = false;
  ConnectionId highest_seen_ = 0;
};

}  // namespace wiretape
