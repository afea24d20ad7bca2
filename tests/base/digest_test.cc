// The digests against published values, and against themselves when the bytes come in pieces.
#include "base/digest.h"

#include <gtest/gtest.h>

#include <array>
#include <random>
#include <string_view>
#include <vector>

namespace wiretape {
namespace {

std::span<const std::byte> bytes_of(std::string_view text) {
  return std::as_bytes(std::span(text));
}

std::vector<std::byte> random_bytes(size_t count, uint32_t seed) {
  std::mt19937 random(seed);
  std::vector<std::byte> bytes(count);
  for (std::byte& b : bytes) b = static_cast<std::byte>(random());
  return bytes;
}

template <typename Digest>
void feed_in_pieces(Digest& digest, std::span<const std::byte> bytes, std::mt19937& random) {
  while (!bytes.empty()) {
    size_t piece = std::min<size_t>(bytes.size(), random() % 700);
    digest.update(bytes.first(piece));
    bytes = bytes.subspan(piece);
  }
}

TEST(Digest, EmptyInputHasThePublishedValues) {
  EXPECT_EQ(xxh3_64({}), 0x2D06800538D394C2u);
  EXPECT_EQ(xxh64({}), 0xEF46DB3751D8E999u);
  EXPECT_EQ(Xxh3_128().digest(), Xxh3_128::Value(0x6001C324468D497Fu, 0x99AA06D3014798D8u));
  EXPECT_EQ(Sha256().hex(), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
}

TEST(Digest, Sha256OfAbcIsThePublishedOne) {
  Sha256 sha;
  sha.update(bytes_of("a"));
  sha.update(bytes_of("bc"));
  EXPECT_EQ(sha.hex(), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

TEST(Digest, AskingDoesNotEndTheDigest) {
  Sha256 sha;
  Xxh3_128 xxh;
  sha.update(bytes_of("ab"));
  xxh.update(bytes_of("ab"));
  std::string early = sha.hex();
  Xxh3_128::Value early_value = xxh.digest();
  EXPECT_EQ(sha.hex(), early);
  sha.update(bytes_of("c"));
  xxh.update(bytes_of("c"));
  EXPECT_EQ(sha.hex(), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  EXPECT_NE(xxh.digest(), early_value);
}

TEST(Digest, PiecesGiveTheSameAsTheWhole) {
  std::mt19937 random(1);
  for (size_t count : {1, 16, 240, 241, 1024, 5000, 100'000}) {
    std::vector<std::byte> bytes = random_bytes(count, static_cast<uint32_t>(count));
    Xxh3_128 whole, pieces;
    Sha256 sha_whole, sha_pieces;
    whole.update(bytes);
    sha_whole.update(bytes);
    feed_in_pieces(pieces, bytes, random);
    feed_in_pieces(sha_pieces, bytes, random);
    EXPECT_EQ(pieces.digest(), whole.digest()) << count;
    EXPECT_EQ(sha_pieces.hex(), sha_whole.hex()) << count;
  }
}

TEST(Digest, Xxh3Of64BitsIsTheSameInPieces) {
  std::vector<std::byte> bytes = random_bytes(5000, 3);
  std::span<const std::byte> all(bytes);
  for (size_t cut : {0, 1, 18, 300, 5000}) {
    std::array pieces = {all.first(cut), std::span<const std::byte>(), all.subspan(cut)};
    EXPECT_EQ(xxh3_64_of_pieces(pieces), xxh3_64(all)) << cut;
  }
}

TEST(Digest, ResetForgetsEverything) {
  Xxh3_128 once, again;
  once.update(bytes_of("body"));
  again.update(random_bytes(3000, 7));
  again.reset();
  EXPECT_EQ(again.digest(), Xxh3_128().digest());
  again.update(bytes_of("body"));
  EXPECT_EQ(again.digest(), once.digest());
}

TEST(Digest, MovesTakeTheStateAlongAndLeaveAnEmptyOne) {
  Xxh3_128 a;
  a.update(bytes_of("body"));
  Xxh3_128::Value value = a.digest();
  Xxh3_128 b = std::move(a);
  EXPECT_EQ(b.digest(), value);
  EXPECT_EQ(a.digest(), Xxh3_128().digest());  // NOLINT(bugprone-use-after-move)
  a.update(bytes_of("body"));
  EXPECT_EQ(a.digest(), value);
}

}  // namespace
}  // namespace wiretape
