// A conversation as it went over the wire:
//
//      0.001234  client    >       78  GET / HTTP/1.1\r\nHost: app\r\n...
//      0.002345  server    <      812  HTTP/1.1 200 OK\r\n...
//      0.002400  server    <           end of stream
//
// --body needs messages, not reads, so it runs the same parser as the recorder over the bytes; what
// the parser says is not HTTP is printed as it came. Bodies go to standard output byte for byte,
// the lines between them to stderr, so that `--body > file` holds nothing else.
#include "cli/show_connection.h"

#include <fmt/core.h>

#include <algorithm>
#include <cassert>
#include <cstddef>
#include <cstdio>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/log.h"
#include "cli/text.h"

namespace wiretape {
namespace {

constexpr size_t preview_bytes_max = 200;
constexpr size_t hex_bytes_a_row = 16;
constexpr size_t kept_bytes_max = 256 * 1024;
constexpr uint64_t offset_max = uint64_t{1} << 62;  // as a tape may claim any length

const char* speaker(Direction d) {
  return d == Direction::client_to_server ? "client" : "server";
}
const char* arrow(Direction d) {
  return d == Direction::client_to_server ? ">" : "<";
}

void print_bytes(Bytes bytes) {
  if (bytes.empty()) return;  // an empty span may point nowhere, which fwrite does not take
  std::fwrite(bytes.data(), 1, bytes.size(), stdout);
}

std::string hex_row(uint64_t offset, Bytes bytes) {
  std::string hex, text;
  for (size_t i = 0; i < hex_bytes_a_row; ++i) {
    if (i == hex_bytes_a_row / 2) hex += ' ';
    if (i >= bytes.size()) {
      hex += "   ";
      continue;
    }
    const auto byte = std::to_integer<unsigned>(bytes[i]);
    hex += fmt::format("{:02x} ", byte);
    text += byte >= 0x20 && byte < 0x7f ? static_cast<char>(byte) : '.';
  }
  return fmt::format("  {:08x}  {} |{}|\n", offset, hex, text);
}

void print_hex(uint64_t offset, Bytes bytes) {
  for (size_t at = 0; at < bytes.size(); at += hex_bytes_a_row) {
    const size_t n = std::min(hex_bytes_a_row, bytes.size() - at);
    put("{}", hex_row(offset + at, bytes.subspan(at, n)));
  }
}

}  // namespace

// Prints message bodies, and from where a direction is not HTTP, its bytes. That can turn out some
// reads later, so what may yet be opaque is kept until then.
class ConnectionPrinter::Bodies : public ExchangeObserver {
 public:
  explicit Bodies(ConnectionId id) : tracker_(id, *this) {}

  void chunk(const Chunk& chunk, int64_t now_ns) {
    advance_to(chunk.direction, chunk.offset, now_ns);
    Stream& stream = streams_[index_of(chunk.direction)];
    stream.kept.insert(stream.kept.end(), chunk.bytes.begin(), chunk.bytes.end());
    tracker_.chunk(chunk.direction, now_ns, chunk.bytes);
    print_opaque();
    if (stream.head_told || stream.kept.size() > kept_bytes_max) stream.drop_until(stream.end());
  }
  void gap(const Gap& gap, int64_t now_ns) {
    advance_to(gap.direction, gap.offset, now_ns);
    skip(gap.direction, gap.length, now_ns);
  }
  void half_closed(const HalfClosed& half_closed, int64_t now_ns) {
    advance_to(half_closed.direction, half_closed.offset, now_ns);
    tracker_.half_closed(half_closed.direction, now_ns);
    print_opaque();
  }
  void closed(int64_t now_ns) {
    tracker_.closed(now_ns);
    print_opaque();
  }

  bool wants_heads() const override { return true; }
  void on_exchange(const Exchange&) override {}
  void on_request_head(uint64_t index, const HttpHead& head) override {
    streams_[index_of(Direction::client_to_server)].head_told = true;
    heading(fmt::format("request {}: {} {}", index, head.method, printable(head.target)));
  }
  void on_response_head(uint64_t index, const HttpHead& head) override {
    const bool interim = head.status < 200 && head.status != 101;
    streams_[index_of(Direction::server_to_client)].head_told = !interim;
    heading(fmt::format("response {}: {} {}", index, head.status, printable(head.reason)));
  }
  void on_body(uint64_t, Direction, Bytes body) override { print_bytes(body); }
  void on_request_end(uint64_t, uint64_t offset) override {
    streams_[index_of(Direction::client_to_server)].message_ended(offset);
  }
  void on_response_end(uint64_t, uint64_t offset) override {
    streams_[index_of(Direction::server_to_client)].message_ended(offset);
  }
  void on_protocol(const ProtocolFound& found) override {
    streams_[index_of(found.direction)].opaque_from = found.offset;
    heading(fmt::format("{}: not HTTP from byte {} on ({})", name_of(found.direction), found.offset,
                        printable(found.reason)));
  }

 private:
  // Invariant: kept holds the bytes from kept_from on, at most kept_bytes_max between two chunks.
  struct Stream {
    std::vector<std::byte> kept;  // of a message whose head is not whole: it may be none
    uint64_t kept_from = 0;
    uint64_t opaque_from = UINT64_MAX;
    bool head_told = false;  // what follows is a body, which is printed as it comes

    uint64_t end() const { return kept_from + kept.size(); }
    void drop_until(uint64_t offset) {
      const uint64_t n = std::clamp(offset, kept_from, end()) - kept_from;
      kept.erase(kept.begin(), kept.begin() + static_cast<std::ptrdiff_t>(n));
      kept_from += n;
      assert(kept_from <= offset || n == 0);
    }
    void message_ended(uint64_t offset) {
      drop_until(offset);
      head_told = false;
    }
  };

  // Records speak of `offset`, so what is between it and the last byte is lost.
  void advance_to(Direction d, uint64_t offset, int64_t now_ns) {
    const uint64_t end = streams_[index_of(d)].end();
    if (offset > end) skip(d, offset - end, now_ns);
  }
  void skip(Direction d, uint64_t length, int64_t now_ns) {
    tracker_.gap(d, now_ns, length);
    print_opaque();
    Stream& stream = streams_[index_of(d)];
    const uint64_t end = std::min(stream.end(), offset_max);
    stream.kept_from = end + std::min(length, offset_max - end);
    stream.kept.clear();
  }
  void print_opaque() {
    for (Stream& stream : streams_) {
      if (stream.opaque_from == UINT64_MAX) continue;
      stream.drop_until(stream.opaque_from);
      print_bytes(stream.kept);
      stream.drop_until(stream.end());
    }
  }
  static void heading(const std::string& text) {
    std::fflush(stdout);
    say("-- {}", text);
  }

  ExchangeTracker tracker_;
  Stream streams_[2];
};

ConnectionPrinter::ConnectionPrinter(ConnectionChoice choice, ConnectionView view)
    : choice_(choice), view_(view), width_(terminal_width(stdout)) {
  if (view == ConnectionView::bodies) bodies_ = std::make_unique<Bodies>(choice.id);
}
ConnectionPrinter::~ConnectionPrinter() = default;

// The first part that has the connection is the one that is meant.
bool ConnectionPrinter::is_it(uint32_t part, ConnectionId id) {
  highest_seen_ = std::max(highest_seen_, id);
  if (id != choice_.id || part != choice_.part.value_or(part)) return false;
  choice_.part = part;
  return found_ = true;
}

void ConnectionPrinter::on_record(const TapeRecord& record) {
  now_ns_ = record.time_ns;
  part_ = record.part;
  std::visit(
      [this](const auto& event) {
        if constexpr (requires { this->take(event.connection, event); }) {
          if (is_it(part_, event.connection)) take(event.connection, event);
        }
      },
      record.event);
}

// Lines that are not bytes; --body has them on stderr, if at all.
void ConnectionPrinter::line(std::string_view who, std::string_view what) const {
  if (view_ == ConnectionView::bodies) return;
  put("{:>14.6f}  {:<8}  {}\n", double(now_ns_) / ns_per_s, who, printable(what));
}

void ConnectionPrinter::take(ConnectionId id, const Opened& opened) {
  const auto known = [](const std::string& name) { return name.empty() ? "?" : name; };
  const std::string name = connection_name(part_, id);
  const std::string client = known(opened.client), upstream = known(opened.upstream);
  if (opened.recorded_connection != 0) {
    return line("us", fmt::format("opened connection {}: {} -> {}, replaying connection {}", name,
                                  client, upstream, opened.recorded_connection));
  }
  line("client", fmt::format("opened connection {}: {} -> {} -> {}", name, client,
                             known(opened.listener), upstream));
}

void ConnectionPrinter::take(ConnectionId, const Connected& connected) {
  line("us", fmt::format("connected {} -> {}", connected.local, connected.server));
}

void ConnectionPrinter::take(ConnectionId, const Chunk& chunk) {
  if (bodies_) return bodies_->chunk(chunk, now_ns_);
  print_chunk(chunk);
  if (view_ == ConnectionView::hex) print_hex(chunk.offset, chunk.bytes);
}

void ConnectionPrinter::print_chunk(const Chunk& chunk) {
  std::string preview;
  if (view_ == ConnectionView::turns) {
    const size_t n = std::min(chunk.bytes.size(), preview_bytes_max);
    const size_t room = (width_ == 0 ? 100 : width_) - 40;
    preview = printable(as_text(chunk.bytes.first(n)));
    if (preview.size() > room) preview = preview.substr(0, room - 3) + "...";
  }
  put("{:>14.6f}  {:<8}{}{:>10}  {}\n", double(now_ns_) / ns_per_s, speaker(chunk.direction),
      arrow(chunk.direction), chunk.bytes.size(), preview);
}

void ConnectionPrinter::take(ConnectionId, const HalfClosed& end) {
  if (bodies_) bodies_->half_closed(end, now_ns_);
  line(speaker(end.direction), fmt::format("end of stream after {} bytes", end.offset));
}

void ConnectionPrinter::take(ConnectionId, const Closed& closed) {
  if (bodies_) bodies_->closed(now_ns_);
  over_ = true;
  std::string what = fmt::format("closed: {}", name_of(closed.how));
  if (!closed.error.empty()) what += ", " + closed.error;
  line(name_of(closed.by), what);
}

void ConnectionPrinter::take(ConnectionId, const Gap& gap) {
  if (bodies_) bodies_->gap(gap, now_ns_);
  line(speaker(gap.direction), fmt::format("{} bytes from {} on were not recorded ({})", gap.length,
                                           gap.offset, name_of(gap.reason)));
}

void ConnectionPrinter::take(ConnectionId, const ProtocolFound& found) {
  line(speaker(found.direction),
       fmt::format("is {} from byte {} on ({}{}{})", name_of(found.protocol), found.offset,
                   found.reason, found.server_name.empty() ? "" : ", for ", found.server_name));
}

void ConnectionPrinter::take(ConnectionId, const Send& send) {
  const int64_t late_ns = std::max<int64_t>(send.sent_ns - send.due_ns, 0);
  line("us", fmt::format("sent {} bytes from {} on, {} late ({})", send.length, send.offset,
                         short_time(late_ns), send.cause));
}

void ConnectionPrinter::take(ConnectionId, const Tls& tls) {
  line(tls.upstream ? "server" : "client",
       fmt::format("{} {} {}", tls.version, tls.cipher, tls.server_name));
}

}  // namespace wiretape
