// Masks by vector instructions, whatever cipher and width: keystream goes to the accumulator
// straight from registers and is never stored.
//
// Only for prg_<tier>.cpp files: each defines its vector type V (see Xmm in prg_aesni.cpp for what
// it must have) and the table. All is internal to the including file, which is compiled for its own
// instruction set. Control flow lives here and not in the vector types, so that what is shown of
// one tier (that nothing branches on secrets) holds for all.
//
// A cipher C has a V as Vector, how many bytes one turn of its main loop makes as kTurnBytes, and
//   expand_key(seed, key)
//   run<Op>(key, block, to, size, ahead)  applies Op to `size` bytes at `to` with the keystream
//                                         from block `block` on; size need not be whole blocks
#pragma once

#include "kernels.hpp"

namespace fedsecure::kernels {
namespace {

constexpr std::size_t kTileBytes = 4096;  // of accumulator, kept in L1 while all keys pass over it
constexpr std::size_t kLineBytes = 64;    // what one prefetch brings

template <typename V>
constexpr std::size_t kVectorBytes = V::kBlocks * 16;

// What to do with one vector of keystream at `to`.
template <typename V>
struct Copy {
  static void apply(std::uint8_t* to, typename V::Reg mask) { V::put(to, mask); }
};

template <typename V, std::size_t kWordBytes, bool kNegative>
struct Accumulate {
  static void apply(std::uint8_t* to, typename V::Reg mask) {
    const typename V::Reg acc = V::get(to);
    V::put(to, kNegative ? V::template subtract<kWordBytes>(acc, mask)
                         : V::template add<kWordBytes>(acc, mask));
  }
};

// The same for the first `size` bytes of a vector, which may be all.
template <typename V, typename Op>
inline void apply_part(std::uint8_t* to, typename V::Reg mask, std::size_t size) {
  if (size >= kVectorBytes<V>) {
    Op::apply(to, mask);
    return;
  }
  std::uint8_t last[kVectorBytes<V>] = {};
  std::memcpy(last, to, size);
  Op::apply(last, mask);
  std::memcpy(to, last, size);
  wipe(last, sizeof last);
}

// Memory to bring nearer while other memory is worked on: `per_turn` lines with each turn of the
// main loop. All at once would be more than the processor can have under way, and it would wait.
template <typename V>
struct Ahead {
  const std::uint8_t* from;
  std::size_t size;
  std::size_t per_turn;
  std::size_t done = 0;

  void turn() {
    for (std::size_t i = 0; i < per_turn && done < size; ++i, done += kLineBytes)
      V::prefetch(from + done);
  }
};

template <typename C>
void expand_key(const std::uint8_t* seed, PrgKey* key) {
  C::expand_key(seed, key);
  C::Vector::clear_registers();
}

template <typename C>
void keystream(const PrgKey& key, std::uint64_t first_block, std::size_t num_blocks,
               std::uint8_t* out) {
  using V = typename C::Vector;
  Ahead<V> nothing{nullptr, 0, 0};
  C::template run<Copy<V>>(key, first_block, out, num_blocks * kBlockBytes, nothing);
  V::clear_registers();
}

template <typename C, typename Word>
void add_masks(Word* acc, std::size_t count, const PrgKey* keys, const std::int8_t* signs,
               std::size_t num_keys, std::uint64_t first_block) {
  using V = typename C::Vector;
  std::uint8_t* const bytes = reinterpret_cast<std::uint8_t*>(acc);
  const std::size_t total = count * sizeof(Word);
  if (num_keys == 0) return;
  // The next tile is brought to L2 while all keys pass over this one. The processor's own
  // prefetching stops at page borders, which are as far apart as tiles.
  const std::size_t turns = kTileBytes / C::kTurnBytes * num_keys;
  const std::size_t per_turn = (kTileBytes / kLineBytes + turns - 1) / turns;
  for (std::size_t start = 0; start < total; start += kTileBytes) {
    const std::size_t size = total - start < kTileBytes ? total - start : kTileBytes;
    const std::size_t left = total - start - size;
    const std::uint64_t block = first_block + start / kBlockBytes;
    Ahead<V> next{bytes + start + size, left < kTileBytes ? left : kTileBytes, per_turn};
    for (std::size_t j = 0; j < num_keys; ++j) {
      using Plus = Accumulate<V, sizeof(Word), false>;
      using Minus = Accumulate<V, sizeof(Word), true>;
      if (signs[j] < 0)
        C::template run<Minus>(keys[j], block, bytes + start, size, next);
      else
        C::template run<Plus>(keys[j], block, bytes + start, size, next);
    }
  }
  V::clear_registers();
}

template <typename C>
constexpr CipherKernels cipher() {
  return {expand_key<C>, keystream<C>, add_masks<C, std::uint16_t>, add_masks<C, std::uint32_t>,
          add_masks<C, std::uint64_t>};
}

}  // namespace
}  // namespace fedsecure::kernels
