#include "sha256.h"

#include <array>
#include <cstdint>
#include <cstring>
#include <vector>

namespace {

// FIPS 180-4, section 4.2.2: fractional parts of the cube roots of the first 64 primes.
constexpr std::array<uint32_t, 64> kRound = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2};

uint32_t rotate_right(uint32_t word, int bits) { return (word >> bits) | (word << (32 - bits)); }

// Section 6.2.2: one block of 64 bytes.
void add_block(std::array<uint32_t, 8>& hash, const unsigned char* block) {
  std::array<uint32_t, 64> schedule{};
  for (int t = 0; t < 16; ++t) {
    schedule[t] = static_cast<uint32_t>(block[4 * t]) << 24 |
                  static_cast<uint32_t>(block[4 * t + 1]) << 16 |
                  static_cast<uint32_t>(block[4 * t + 2]) << 8 | block[4 * t + 3];
  }
  for (int t = 16; t < 64; ++t) {
    const uint32_t x = schedule[t - 15], y = schedule[t - 2];
    schedule[t] = schedule[t - 16] + schedule[t - 7] +
                  (rotate_right(x, 7) ^ rotate_right(x, 18) ^ (x >> 3)) +
                  (rotate_right(y, 17) ^ rotate_right(y, 19) ^ (y >> 10));
  }
  auto [a, b, c, d, e, f, g, h] = hash;
  for (int t = 0; t < 64; ++t) {
    const uint32_t first = h + (rotate_right(e, 6) ^ rotate_right(e, 11) ^ rotate_right(e, 25)) +
                           ((e & f) ^ (~e & g)) + kRound[t] + schedule[t];
    const uint32_t second = (rotate_right(a, 2) ^ rotate_right(a, 13) ^ rotate_right(a, 22)) +
                            ((a & b) ^ (a & c) ^ (b & c));
    h = g, g = f, f = e, e = d + first, d = c, c = b, b = a, a = first + second;
  }
  const std::array<uint32_t, 8> mixed = {a, b, c, d, e, f, g, h};
  for (int i = 0; i < 8; ++i) hash[i] += mixed[i];
}

}  // namespace

std::string sha256(const void* data, size_t size) {
  const auto* bytes = static_cast<const unsigned char*>(data);
  std::array<uint32_t, 8> hash = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
                                  0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};
  const size_t whole = size / 64 * 64;
  for (size_t at = 0; at < whole; at += 64) add_block(hash, bytes + at);
  // Section 5.1.1: a one bit, zeros, and the length in bits.
  std::vector<unsigned char> rest(bytes + whole, bytes + size);
  rest.push_back(0x80);
  while (rest.size() % 64 != 56) rest.push_back(0);
  for (int shift = 56; shift >= 0; shift -= 8) {
    rest.push_back(static_cast<unsigned char>((static_cast<uint64_t>(size) * 8) >> shift));
  }
  for (size_t at = 0; at < rest.size(); at += 64) add_block(hash, rest.data() + at);
  std::string digest;
  for (uint32_t word : hash) {
    for (int shift = 28; shift >= 0; shift -= 4) digest += "0123456789abcdef"[(word >> shift) & 15];
  }
  return digest;
}
