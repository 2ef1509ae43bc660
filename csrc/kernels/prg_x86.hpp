// AES-128-CTR for the AES instructions of x86, in whatever vector width a tier has: 16, 32 or 64
// bytes. Several vectors are in flight, which hides the latency of AESENC. Masks are added to the
// accumulator straight from registers: the keystream is never stored.
//
// Only for prg_<tier>.cpp files: each defines its vector type (see Xmm in prg_aesni.cpp for what it
// must have) and the table. All is internal to the including file, which is compiled for its own
// instruction set. Control flow lives here and not in the vector types, so that what is shown of
// one tier (that nothing branches on secrets) holds for all.
#pragma once

#include <immintrin.h>

#include "kernels.hpp"

namespace fedsecure::kernels {
namespace {

constexpr std::size_t kTileBytes = 4096;  // of accumulator, kept in L1 while all keys pass over it
constexpr std::size_t kLineBytes = 64;    // what one prefetch brings

template <typename V>
struct RoundKeys {
  typename V::Reg k[kNumRounds + 1];
};

template <typename V>
inline RoundKeys<V> load_keys(const PrgKey& key) {
  RoundKeys<V> keys;
  for (std::size_t r = 0; r <= kNumRounds; ++r)
    keys.k[r] = V::repeat(_mm_load_si128(reinterpret_cast<const __m128i*>(key.round_keys[r])));
  return keys;
}

// Encrypts the N vectors of consecutive counters that begin with `counter`, whose blocks are two
// 64-bit lanes each (nonce, block number), so that counting is one instruction.
template <typename V, std::size_t N>
inline void encrypt(const RoundKeys<V>& keys, typename V::Reg counter, typename V::Reg (&out)[N]) {
  for (std::size_t i = 0; i < N; ++i)
    out[i] = V::first_round(V::count(counter, i * V::kBlocks), keys.k[0]);
  for (std::size_t r = 1; r < kNumRounds; ++r)
    for (std::size_t i = 0; i < N; ++i) out[i] = V::round(out[i], keys.k[r]);
  for (std::size_t i = 0; i < N; ++i) out[i] = V::last_round(out[i], keys.k[kNumRounds]);
}

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

// Memory to bring nearer while other memory is worked on: `per_turn` lines with each turn of the
// main loop. All at once would be more than the processor can have under way, and it would wait.
struct Ahead {
  const std::uint8_t* from;
  std::size_t size;
  std::size_t per_turn;
  std::size_t done = 0;

  void turn() {
    for (std::size_t i = 0; i < per_turn && done < size; ++i, done += kLineBytes)
      _mm_prefetch(reinterpret_cast<const char*>(from + done), _MM_HINT_T1);
  }
};

// Applies Op to `size` bytes at `to` with the keystream from `block` on; `size` need not be a
// multiple of the block.
template <typename V, typename Op>
inline void run(const PrgKey& key, std::uint64_t block, std::uint8_t* to, std::size_t size,
                Ahead& ahead) {
  constexpr std::size_t kBytes = V::kBlocks * kBlockBytes;
  const RoundKeys<V> keys = load_keys<V>(key);
  typename V::Reg counter = V::counter(load<std::uint64_t>(key.nonce), block);
  for (; size >= V::kInFlight * kBytes;
       size -= V::kInFlight * kBytes, to += V::kInFlight * kBytes) {
    ahead.turn();
    typename V::Reg masks[V::kInFlight];
    encrypt<V>(keys, counter, masks);
    counter = V::count(counter, V::kInFlight * V::kBlocks);
    for (std::size_t i = 0; i < V::kInFlight; ++i) Op::apply(to + i * kBytes, masks[i]);
  }
  while (size != 0) {
    typename V::Reg mask[1];
    encrypt<V>(keys, counter, mask);
    counter = V::count(counter, V::kBlocks);
    const std::size_t part = size < kBytes ? size : kBytes;
    if (part == kBytes) {
      Op::apply(to, mask[0]);
    } else {
      std::uint8_t last[kBytes] = {};
      std::memcpy(last, to, part);
      Op::apply(last, mask[0]);
      std::memcpy(to, last, part);
      wipe(last, sizeof last);
    }
    size -= part;
    to += part;
  }
}

// One step of the key expansion: AESKEYGENASSIST gives RotWord(SubWord) ^ Rcon in its top lane.
template <int kRcon>
inline __m128i next_round_key(__m128i previous) {
  const __m128i word = _mm_shuffle_epi32(_mm_aeskeygenassist_si128(previous, kRcon), 0xFF);
  __m128i sums = _mm_xor_si128(previous, _mm_slli_si128(previous, 4));
  sums = _mm_xor_si128(sums, _mm_slli_si128(sums, 8));
  return _mm_xor_si128(sums, word);
}

template <typename V>
void expand_key(const std::uint8_t* seed, PrgKey* key) {
  std::memcpy(key->nonce, seed + kBlockBytes, sizeof key->nonce);
  __m128i keys[kNumRounds + 1];
  keys[0] = _mm_loadu_si128(reinterpret_cast<const __m128i*>(seed));
  keys[1] = next_round_key<0x01>(keys[0]);
  keys[2] = next_round_key<0x02>(keys[1]);
  keys[3] = next_round_key<0x04>(keys[2]);
  keys[4] = next_round_key<0x08>(keys[3]);
  keys[5] = next_round_key<0x10>(keys[4]);
  keys[6] = next_round_key<0x20>(keys[5]);
  keys[7] = next_round_key<0x40>(keys[6]);
  keys[8] = next_round_key<0x80>(keys[7]);
  keys[9] = next_round_key<0x1B>(keys[8]);
  keys[10] = next_round_key<0x36>(keys[9]);
  for (std::size_t r = 0; r <= kNumRounds; ++r)
    _mm_store_si128(reinterpret_cast<__m128i*>(key->round_keys[r]), keys[r]);
  wipe(keys, sizeof keys);
  V::clear_registers();
}

template <typename V>
void keystream(const PrgKey& key, std::uint64_t first_block, std::size_t num_blocks,
               std::uint8_t* out) {
  Ahead nothing{nullptr, 0, 0};
  run<V, Copy<V>>(key, first_block, out, num_blocks * kBlockBytes, nothing);
  V::clear_registers();
}

template <typename V, typename Word>
void add_masks(Word* acc, std::size_t count, const PrgKey* keys, const std::int8_t* signs,
               std::size_t num_keys, std::uint64_t first_block) {
  std::uint8_t* const bytes = reinterpret_cast<std::uint8_t*>(acc);
  const std::size_t total = count * sizeof(Word);
  if (num_keys == 0) return;
  // The next tile is brought to L2 while all keys pass over this one. The processor's own
  // prefetching stops at page borders, which are as far apart as tiles.
  const std::size_t turns = kTileBytes / (V::kInFlight * V::kBlocks * kBlockBytes) * num_keys;
  const std::size_t per_turn = (kTileBytes / kLineBytes + turns - 1) / turns;
  for (std::size_t start = 0; start < total; start += kTileBytes) {
    const std::size_t size = total - start < kTileBytes ? total - start : kTileBytes;
    const std::size_t left = total - start - size;
    const std::uint64_t block = first_block + start / kBlockBytes;
    Ahead next{bytes + start + size, left < kTileBytes ? left : kTileBytes, per_turn};
    for (std::size_t j = 0; j < num_keys; ++j) {
      if (signs[j] < 0)
        run<V, Accumulate<V, sizeof(Word), true>>(keys[j], block, bytes + start, size, next);
      else
        run<V, Accumulate<V, sizeof(Word), false>>(keys[j], block, bytes + start, size, next);
    }
  }
  V::clear_registers();
}

template <typename V>
constexpr PrgKernels table() {
  return {expand_key<V>, keystream<V>, add_masks<V, std::uint16_t>, add_masks<V, std::uint32_t>,
          add_masks<V, std::uint64_t>};
}

}  // namespace
}  // namespace fedsecure::kernels
