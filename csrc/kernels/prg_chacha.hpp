// ChaCha20 on vectors of 32-bit words, one block in each lane of a vector. For prg_<tier>.cpp
// files, as prg_vector.hpp says.
#pragma once

#include "chacha_state.hpp"
#include "prg_vector.hpp"

namespace fedsecure::kernels {
namespace {

template <typename V>
struct ChaCha {
  using Vector = V;
  using Reg = typename V::Reg;

  static constexpr std::size_t kLanes = 4 * V::kBlocks;  // blocks at a time
  static constexpr std::size_t kTurnBytes = kLanes * kBlockBytes;

  static void expand_key(const std::uint8_t* seed, PrgKey* key) { expand_chacha_key(seed, key); }

  static inline void quarter_round(Reg& a, Reg& b, Reg& c, Reg& d) {
    a = V::template add<4>(a, b);
    d = V::template rotate<16>(V::exclusive_or(d, a));
    c = V::template add<4>(c, d);
    b = V::template rotate<12>(V::exclusive_or(b, c));
    a = V::template add<4>(a, b);
    d = V::template rotate<8>(V::exclusive_or(d, a));
    c = V::template add<4>(c, d);
    b = V::template rotate<7>(V::exclusive_or(b, c));
  }

  static inline void double_round(Reg (&x)[16]) {
    for (std::size_t i = 0; i < 4; ++i) quarter_round(x[i], x[4 + i], x[8 + i], x[12 + i]);
    for (std::size_t i = 0; i < 4; ++i)
      quarter_round(x[i], x[4 + (i + 1) % 4], x[8 + (i + 2) % 4], x[12 + (i + 3) % 4]);
  }

  // Word 12 of blocks block, block + 1, ...; and word 13, which changes among them hardly ever.
  static inline Reg low_counters(std::uint64_t block) {
    return V::template add<4>(V::repeat_word(static_cast<std::uint32_t>(block)), V::lane_numbers());
  }
  static inline Reg high_counters(std::uint64_t block) {
    if (((block + kLanes - 1) ^ block) >> 32 == 0)
      return V::repeat_word(static_cast<std::uint32_t>(block >> 32));
    std::uint32_t high[kLanes];
    for (std::size_t i = 0; i < kLanes; ++i)
      high[i] = static_cast<std::uint32_t>((block + i) >> 32);
    return V::get(reinterpret_cast<const std::uint8_t*>(high));
  }

  // In: word i of block j in lane j of x[i]. Out: the bytes of block 0, of block 1, and so on.
  static inline void transpose(const Reg (&x)[16], Reg (&out)[16]) {
    Reg groups[4][4];  // of block j and those that have its place in the other 16-byte parts
    for (std::size_t g = 0; g < 4; ++g) {
      const Reg low0 = V::zip_low_words(x[4 * g], x[4 * g + 1]);
      const Reg low1 = V::zip_low_words(x[4 * g + 2], x[4 * g + 3]);
      const Reg high0 = V::zip_high_words(x[4 * g], x[4 * g + 1]);
      const Reg high1 = V::zip_high_words(x[4 * g + 2], x[4 * g + 3]);
      groups[0][g] = V::zip_low_pairs(low0, low1);
      groups[1][g] = V::zip_high_pairs(low0, low1);
      groups[2][g] = V::zip_low_pairs(high0, high1);
      groups[3][g] = V::zip_high_pairs(high0, high1);
    }
    constexpr std::size_t kPerBlock = 4 / V::kBlocks;  // vectors that one block fills
    for (std::size_t j = 0; j < 4; ++j) {
      Reg blocks[4];
      V::transpose_parts(groups[j], blocks);
      for (std::size_t i = 0; i < 4; ++i)
        out[(4 * (i / kPerBlock) + j) * kPerBlock + i % kPerBlock] = blocks[i];
    }
  }

  static inline void make_blocks(const ChaChaState& start, std::uint64_t block, Reg (&out)[16]) {
    Reg x[16];
    const Reg low = low_counters(block);
    const Reg high = high_counters(block);
    for (std::size_t i = 0; i < 16; ++i) x[i] = V::repeat_word(start.words[i]);
    x[12] = low;
    x[13] = high;
    for (std::size_t round = 0; round < 20; round += 2) double_round(x);
    for (std::size_t i = 0; i < 16; ++i) {
      if (i != 12 && i != 13) x[i] = V::template add<4>(x[i], V::repeat_word(start.words[i]));
    }
    x[12] = V::template add<4>(x[12], low);
    x[13] = V::template add<4>(x[13], high);
    transpose(x, out);
  }

  template <typename Op>
  static inline void run(const PrgKey& key, std::uint64_t block, std::uint8_t* to, std::size_t size,
                         Ahead<V>& ahead) {
    constexpr std::size_t kBytes = kVectorBytes<V>;
    ChaChaState start = initial_state(key);
    Reg masks[16];
    for (; size >= kTurnBytes; size -= kTurnBytes, to += kTurnBytes, block += kLanes) {
      ahead.turn();
      make_blocks(start, block, masks);
      for (std::size_t i = 0; i < 16; ++i) Op::apply(to + i * kBytes, masks[i]);
    }
    if (size != 0) {
      make_blocks(start, block, masks);
      for (std::size_t i = 0; i * kBytes < size; ++i)
        apply_part<V, Op>(to + i * kBytes, masks[i], size - i * kBytes);
    }
    wipe(&start, sizeof start);
  }
};

}  // namespace
}  // namespace fedsecure::kernels
