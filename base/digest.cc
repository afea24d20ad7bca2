// Thin wrappers, so that nothing else includes xxhash or OpenSSL.
//
// A body digest runs once an HTTP message, so its fixed cost matters more than its speed: xxhash's
// streaming state is 576 bytes and is taken from malloc with the first byte, not before (most
// requests have no body), which together with the digest of a small body takes under 100 ns.
// xxhash and OpenSSL fail here only when memory is exhausted; that is treated as `new` does.
//
// Invariant: Xxh3_128 has begun a digest exactly when it has a state and used_ is true; one that
// was moved from has no state and is as good as new.
#include "base/digest.h"

#include <openssl/evp.h>
#include <xxhash.h>

#include <array>
#include <cassert>
#include <new>

namespace wiretape {

namespace {

XXH3_state_t* raw(void* state) {
  return static_cast<XXH3_state_t*>(state);
}
EVP_MD_CTX* evp(void* context) {
  return static_cast<EVP_MD_CTX*>(context);
}

template <typename T>
T* or_bad_alloc(T* p) {
  if (p == nullptr) throw std::bad_alloc();
  return p;
}

std::string hex_of(std::span<const unsigned char> bytes) {
  constexpr std::string_view digits = "0123456789abcdef";
  std::string out;
  out.reserve(2 * bytes.size());
  for (unsigned char b : bytes) {
    out += digits[b >> 4];
    out += digits[b & 15];
  }
  return out;
}

}  // namespace

uint64_t xxh3_64(std::span<const std::byte> bytes) {
  return XXH3_64bits(bytes.data(), bytes.size());
}

uint64_t xxh3_64_of_pieces(std::span<const std::span<const std::byte>> pieces) {
  std::unique_ptr<XXH3_state_t, decltype(&XXH3_freeState)> state(or_bad_alloc(XXH3_createState()),
                                                                 &XXH3_freeState);
  XXH3_64bits_reset(state.get());
  for (std::span<const std::byte> piece : pieces) {
    XXH3_64bits_update(state.get(), piece.data(), piece.size());
  }
  return XXH3_64bits_digest(state.get());
}

uint64_t xxh64(std::span<const std::byte> bytes) {
  return XXH64(bytes.data(), bytes.size(), 0);
}

void Xxh3_128::Free::operator()(State* state) const {
  XXH3_freeState(raw(state));
}

void Xxh3_128::update(std::span<const std::byte> bytes) {
  if (bytes.empty()) return;
  if (!state_) {
    used_ = false;
    state_.reset(static_cast<State*>(static_cast<void*>(or_bad_alloc(XXH3_createState()))));
  }
  if (!used_) XXH3_128bits_reset(raw(state_.get()));
  used_ = true;
  XXH3_128bits_update(raw(state_.get()), bytes.data(), bytes.size());
}

Xxh3_128::Value Xxh3_128::digest() const {
  XXH128_hash_t hash =
      state_ && used_ ? XXH3_128bits_digest(raw(state_.get())) : XXH3_128bits(nullptr, 0);
  return {hash.low64, hash.high64};
}

Xxh3_128::Value xxh3_128(std::span<const std::byte> bytes) {
  const XXH128_hash_t hash = XXH3_128bits(bytes.data(), bytes.size());
  return {hash.low64, hash.high64};
}

void Sha256::Free::operator()(Context* context) const {
  EVP_MD_CTX_free(evp(context));
}

Sha256::Sha256()
    : context_(static_cast<Context*>(static_cast<void*>(or_bad_alloc(EVP_MD_CTX_new())))) {
  if (EVP_DigestInit_ex(evp(context_.get()), EVP_sha256(), nullptr) != 1) throw std::bad_alloc();
}

void Sha256::update(std::span<const std::byte> bytes) {
  [[maybe_unused]] int ok = EVP_DigestUpdate(evp(context_.get()), bytes.data(), bytes.size());
  assert(ok == 1);
}

std::string Sha256::hex() const {
  std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)> copy(or_bad_alloc(EVP_MD_CTX_new()),
                                                               &EVP_MD_CTX_free);
  std::array<unsigned char, EVP_MAX_MD_SIZE> out;
  unsigned length = 0;
  [[maybe_unused]] bool ok = EVP_MD_CTX_copy_ex(copy.get(), evp(context_.get())) == 1 &&
                             EVP_DigestFinal_ex(copy.get(), out.data(), &length) == 1;
  assert(ok && length == 32);
  return hex_of(std::span(out).first(length));
}

}  // namespace wiretape
