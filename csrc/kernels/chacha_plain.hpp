// ChaCha20 (RFC 8439, section 2.3) in plain C++: 16 blocks at once, one in each lane of loops that
// compilers turn into vector code. Constant time: additions, rotations by constants and XORs.
#pragma once

#include "chacha_state.hpp"

namespace fedsecure::kernels {
namespace {

class PlainChaCha {
 public:
  static constexpr std::size_t kLanes = 16;
  static constexpr std::size_t kBytes = kLanes * kBlockBytes;  // at once

  explicit PlainChaCha(const PrgKey& key) : start_(initial_state(key)) {}
  ~PlainChaCha() { wipe(&start_, sizeof start_); }

  static void expand_key(const std::uint8_t* seed, PrgKey* key) { expand_chacha_key(seed, key); }

  // Blocks first_block .. first_block + kLanes - 1. first_block is a multiple of kLanes, so their
  // numbers differ in the lowest bits only.
  void make(std::uint64_t first_block, std::uint8_t (&out)[kBytes]) const {
    ChaChaState start = start_;
    start.words[12] = static_cast<std::uint32_t>(first_block);
    start.words[13] = static_cast<std::uint32_t>(first_block >> 32);
    Words x[16];
    for (std::size_t i = 0; i < 16; ++i)
      for (std::size_t lane = 0; lane < kLanes; ++lane) x[i].lane[lane] = start.words[i];
    for (std::size_t lane = 0; lane < kLanes; ++lane)
      x[12].lane[lane] |= static_cast<std::uint32_t>(lane);
    for (std::size_t round = 0; round < 20; round += 2) {
      quarter_round(x[0], x[4], x[8], x[12]);
      quarter_round(x[1], x[5], x[9], x[13]);
      quarter_round(x[2], x[6], x[10], x[14]);
      quarter_round(x[3], x[7], x[11], x[15]);
      quarter_round(x[0], x[5], x[10], x[15]);
      quarter_round(x[1], x[6], x[11], x[12]);
      quarter_round(x[2], x[7], x[8], x[13]);
      quarter_round(x[3], x[4], x[9], x[14]);
    }
    for (std::size_t lane = 0; lane < kLanes; ++lane) {
      for (std::size_t i = 0; i < 16; ++i) {
        const auto own = i == 12 ? static_cast<std::uint32_t>(lane) : 0;
        store(out + lane * kBlockBytes + 4 * i, x[i].lane[lane] + (start.words[i] | own));
      }
    }
    wipe(x, sizeof x);
    wipe(&start, sizeof start);
  }

 private:
  struct Words {  // the same word of all blocks
    std::uint32_t lane[kLanes];
  };

  template <unsigned kBits>
  static std::uint32_t rotate(std::uint32_t x) {
    return x << kBits | x >> (32 - kBits);
  }

  static inline void quarter_round(Words& a, Words& b, Words& c, Words& d) {
    for (std::size_t i = 0; i < kLanes; ++i) {
      std::uint32_t p = a.lane[i], q = b.lane[i], r = c.lane[i], s = d.lane[i];
      p += q;
      s = rotate<16>(s ^ p);
      r += s;
      q = rotate<12>(q ^ r);
      p += q;
      s = rotate<8>(s ^ p);
      r += s;
      q = rotate<7>(q ^ r);
      a.lane[i] = p;
      b.lane[i] = q;
      c.lane[i] = r;
      d.lane[i] = s;
    }
  }

  ChaChaState start_;
};

}  // namespace
}  // namespace fedsecure::kernels
