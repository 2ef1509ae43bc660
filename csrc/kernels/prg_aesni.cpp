// AES-128-CTR with the AES instructions of x86 (compiled with -maes -msse4.1; run only where CPUID
// says so). Eight counter blocks are in flight, which hides the latency of AESENC. Masks are added
// to the accumulator straight from registers: the keystream is never stored.

#include <emmintrin.h>
#include <tmmintrin.h>
#include <wmmintrin.h>

#include "kernels.hpp"

namespace fedsecure::kernels {
namespace {

constexpr std::size_t kInFlight = 8;
constexpr std::size_t kRunBytes = kInFlight * kBlockBytes;
constexpr std::size_t kTileBytes = 4096;  // of accumulator, kept in L1 while all keys pass over it

struct RoundKeys {
  __m128i k[kNumRounds + 1];
};

inline RoundKeys load_keys(const PrgKey& key) {
  RoundKeys keys;
  for (std::size_t r = 0; r <= kNumRounds; ++r)
    keys.k[r] = _mm_load_si128(reinterpret_cast<const __m128i*>(key.round_keys[r]));
  return keys;
}

// The counter as two 64-bit lanes (nonce, block number), so that adding is one instruction.
inline __m128i make_counter(const PrgKey& key, std::uint64_t block) {
  return _mm_set_epi64x(static_cast<long long>(block),
                        static_cast<long long>(load<std::uint64_t>(key.nonce)));
}

// Encrypts N consecutive counters into out.
template <std::size_t N>
inline void encrypt(const RoundKeys& keys, __m128i counter, __m128i (&out)[N]) {
  const __m128i big_endian = _mm_set_epi8(8, 9, 10, 11, 12, 13, 14, 15, 7, 6, 5, 4, 3, 2, 1, 0);
  for (std::size_t i = 0; i < N; ++i) {
    const __m128i block = _mm_add_epi64(counter, _mm_set_epi64x(static_cast<long long>(i), 0));
    out[i] = _mm_xor_si128(_mm_shuffle_epi8(block, big_endian), keys.k[0]);
  }
  for (std::size_t r = 1; r < kNumRounds; ++r)
    for (std::size_t i = 0; i < N; ++i) out[i] = _mm_aesenc_si128(out[i], keys.k[r]);
  for (std::size_t i = 0; i < N; ++i) out[i] = _mm_aesenclast_si128(out[i], keys.k[kNumRounds]);
}

// What to do with 16 bytes of keystream at `to`.
struct Copy {
  static void apply(std::uint8_t* to, __m128i mask) {
    _mm_storeu_si128(reinterpret_cast<__m128i*>(to), mask);
  }
};

template <std::size_t kWordBytes, bool kNegative>
struct Accumulate {
  static void apply(std::uint8_t* to, __m128i mask) {
    __m128i* const p = reinterpret_cast<__m128i*>(to);
    const __m128i acc = _mm_loadu_si128(p);
    __m128i sum;
    if constexpr (kWordBytes == 2)
      sum = kNegative ? _mm_sub_epi16(acc, mask) : _mm_add_epi16(acc, mask);
    else if constexpr (kWordBytes == 4)
      sum = kNegative ? _mm_sub_epi32(acc, mask) : _mm_add_epi32(acc, mask);
    else
      sum = kNegative ? _mm_sub_epi64(acc, mask) : _mm_add_epi64(acc, mask);
    _mm_storeu_si128(p, sum);
  }
};

// Applies Op to `size` bytes at `to` with the keystream from `block` on; `size` need not be a
// multiple of the block.
template <typename Op>
inline void run(const PrgKey& key, std::uint64_t block, std::uint8_t* to, std::size_t size) {
  const RoundKeys keys = load_keys(key);
  __m128i counter = make_counter(key, block);
  for (; size >= kRunBytes; size -= kRunBytes, to += kRunBytes) {
    __m128i masks[kInFlight];
    encrypt(keys, counter, masks);
    counter = _mm_add_epi64(counter, _mm_set_epi64x(kInFlight, 0));
    for (std::size_t i = 0; i < kInFlight; ++i) Op::apply(to + i * kBlockBytes, masks[i]);
  }
  while (size != 0) {
    __m128i mask[1];
    encrypt(keys, counter, mask);
    counter = _mm_add_epi64(counter, _mm_set_epi64x(1, 0));
    const std::size_t part = size < kBlockBytes ? size : kBlockBytes;
    if (part == kBlockBytes) {
      Op::apply(to, mask[0]);
    } else {
      std::uint8_t last[kBlockBytes] = {};
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

void expand_key(const std::uint8_t* seed, PrgKey* key) {
  std::memcpy(key->nonce, seed + kBlockBytes, sizeof key->nonce);
  RoundKeys keys;
  keys.k[0] = _mm_loadu_si128(reinterpret_cast<const __m128i*>(seed));
  keys.k[1] = next_round_key<0x01>(keys.k[0]);
  keys.k[2] = next_round_key<0x02>(keys.k[1]);
  keys.k[3] = next_round_key<0x04>(keys.k[2]);
  keys.k[4] = next_round_key<0x08>(keys.k[3]);
  keys.k[5] = next_round_key<0x10>(keys.k[4]);
  keys.k[6] = next_round_key<0x20>(keys.k[5]);
  keys.k[7] = next_round_key<0x40>(keys.k[6]);
  keys.k[8] = next_round_key<0x80>(keys.k[7]);
  keys.k[9] = next_round_key<0x1B>(keys.k[8]);
  keys.k[10] = next_round_key<0x36>(keys.k[9]);
  for (std::size_t r = 0; r <= kNumRounds; ++r)
    _mm_store_si128(reinterpret_cast<__m128i*>(key->round_keys[r]), keys.k[r]);
  wipe(&keys, sizeof keys);
}

void keystream(const PrgKey& key, std::uint64_t first_block, std::size_t num_blocks,
               std::uint8_t* out) {
  run<Copy>(key, first_block, out, num_blocks * kBlockBytes);
}

template <typename Word>
void add_masks(Word* acc, std::size_t count, const PrgKey* keys, const std::int8_t* signs,
               std::size_t num_keys, std::uint64_t first_block) {
  std::uint8_t* const bytes = reinterpret_cast<std::uint8_t*>(acc);
  const std::size_t total = count * sizeof(Word);
  for (std::size_t start = 0; start < total; start += kTileBytes) {
    const std::size_t size = total - start < kTileBytes ? total - start : kTileBytes;
    const std::uint64_t block = first_block + start / kBlockBytes;
    for (std::size_t j = 0; j < num_keys; ++j) {
      if (signs[j] < 0)
        run<Accumulate<sizeof(Word), true>>(keys[j], block, bytes + start, size);
      else
        run<Accumulate<sizeof(Word), false>>(keys[j], block, bytes + start, size);
    }
  }
}

}  // namespace

const PrgKernels kPrgAesni = {expand_key, keystream, add_masks<std::uint16_t>,
                              add_masks<std::uint32_t>, add_masks<std::uint64_t>};

}  // namespace fedsecure::kernels
