// Digests: the only door to xxhash and OpenSSL's hashes.
//
// XXH3 and XXH64 find damage and tell bodies apart; they are no protection against a forger.
// SHA-256 is what users compare with other tools.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <utility>

namespace wiretape {

uint64_t xxh3_64(std::span<const std::byte> bytes);
// Of the pieces, one after the other.
uint64_t xxh3_64_of_pieces(std::span<const std::span<const std::byte>> pieces);
uint64_t xxh64(std::span<const std::byte> bytes);  // seed 0, as zstd's content checksum

// XXH3-128 of bytes that come in pieces. Costs nothing until the first byte comes; one that is
// reset() keeps its memory, so that the next message is cheaper still.
class Xxh3_128 {
 public:
  using Value = std::pair<uint64_t, uint64_t>;  // low, high

  Xxh3_128() noexcept = default;
  void update(std::span<const std::byte> bytes);
  Value digest() const;  // of what came so far
  void reset() { used_ = false; }

 private:
  struct State;
  struct Free {
    void operator()(State* state) const;
  };
  std::unique_ptr<State, Free> state_;
  bool used_ = false;
};

Xxh3_128::Value xxh3_128(std::span<const std::byte> bytes);

class Sha256 {
 public:
  Sha256();
  void update(std::span<const std::byte> bytes);
  std::string hex() const;  // of what came so far, 64 lower-case digits

 private:
  struct Context;
  struct Free {
    void operator()(Context* context) const;
  };
  std::unique_ptr<Context, Free> context_;
};

}  // namespace wiretape
