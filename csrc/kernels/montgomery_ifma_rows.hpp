// Rows of bytes to words and back, and looking up numbers, with AVX-512. Included by
// montgomery_ifma.cpp only.
#pragma once

#include "clear_zmm.hpp"
#include "montgomery_ifma.hpp"

namespace fedsecure::kernels {
namespace {

constexpr std::size_t kGroup = 8;        // words that are moved at once
constexpr std::size_t kGroupBytes = 52;  // what they hold

// out[i] = word i of the lanes; also the other way round.
FEDSECURE_INLINE void transpose(const Lanes (&x)[8], Lanes (&out)[8]) {
  Lanes pairs[8];
  Lanes quads[8];
  FEDSECURE_UNROLLED
  for (unsigned i = 0; i < 8; i += 2) {
    pairs[i] = _mm512_unpacklo_epi64(x[i], x[i + 1]);
    pairs[i + 1] = _mm512_unpackhi_epi64(x[i], x[i + 1]);
  }
  FEDSECURE_UNROLLED
  for (unsigned i = 0; i < 8; i += 4) {
    FEDSECURE_UNROLLED
    for (unsigned j = i; j < i + 2; ++j) {
      quads[j] = _mm512_shuffle_i64x2(pairs[j], pairs[j + 2], 0x88);
      quads[j + 2] = _mm512_shuffle_i64x2(pairs[j], pairs[j + 2], 0xDD);
    }
  }
  FEDSECURE_UNROLLED
  for (unsigned j = 0; j < 4; ++j) {
    out[j] = _mm512_shuffle_i64x2(quads[j], quads[j + 4], 0x88);
    out[j + 4] = _mm512_shuffle_i64x2(quads[j], quads[j + 4], 0xDD);
  }
}

// The first n of 64.
FEDSECURE_INLINE __mmask64 first_bytes(std::size_t n) {
  return n >= 64 ? ~__mmask64{0} : (__mmask64{1} << n) - 1;
}

// Bytes that hold words: word 2i starts at byte 13i, word 2i + 1 in the middle of byte 13i + 6.
struct Bytes {
  alignas(64) std::uint8_t at[64];
};

constexpr Bytes spread_bytes() {
  Bytes map{};
  for (unsigned i = 0; i < 64; ++i)
    map.at[i] = static_cast<std::uint8_t>(i / 16 * 13 + i / 8 % 2 * 6 + i % 8);
  return map;
}

constexpr Bytes gather_bytes() {
  Bytes map{};
  for (unsigned i = 0; i < kGroupBytes; ++i) {
    const unsigned byte = i % 13;
    map.at[i] = static_cast<std::uint8_t>(i / 13 * 16 + (byte < 7 ? byte : byte + 1));
  }
  return map;
}

constexpr Bytes kSpread = spread_bytes();
constexpr Bytes kGather = gather_bytes();

FEDSECURE_INLINE Lanes shifts() { return _mm512_setr_epi64(0, 4, 0, 4, 0, 4, 0, 4); }

void load(const std::uint8_t* rows, std::size_t row_bytes, std::size_t stride, std::size_t count,
          unsigned words, Word* out) {
  const Lanes map = _mm512_load_si512(kSpread.at);
  for (std::size_t first = 0; first < words; first += kGroup) {
    const std::size_t start = first / kGroup * kGroupBytes;
    const std::size_t left = start < row_bytes ? row_bytes - start : 0;
    const __mmask64 there = first_bytes(left < kGroupBytes ? left : kGroupBytes);
    Lanes x[8];
    Lanes columns[8];
    FEDSECURE_UNROLLED
    for (std::size_t lane = 0; lane < 8; ++lane) {
      const std::uint8_t* const row = rows + (lane < count ? lane : 0) * stride;
      const Lanes bytes = left != 0 ? _mm512_maskz_loadu_epi8(there, row + start) : zero();
      const Lanes spread = _mm512_srlv_epi64(_mm512_permutexvar_epi8(map, bytes), shifts());
      x[lane] = _mm512_and_si512(spread, all(kMask));
    }
    transpose(x, columns);
    FEDSECURE_UNROLLED
    for (std::size_t i = 0; i < 8; ++i)
      if (first + i < words) put(out, first + i, columns[i]);
  }
  clear_zmm();
}

void store(const Word* x, unsigned words, std::uint8_t* rows, std::size_t row_bytes,
           std::size_t stride, std::size_t count) {
  const Lanes map = _mm512_load_si512(kGather.at);
  for (std::size_t start = 0; start < row_bytes; start += kGroupBytes) {
    const std::size_t first = start / kGroupBytes * kGroup;
    const std::size_t left = row_bytes - start;
    const __mmask64 there = first_bytes(left < kGroupBytes ? left : kGroupBytes);
    Lanes columns[8];
    Lanes numbers[8];
    FEDSECURE_UNROLLED
    for (std::size_t i = 0; i < 8; ++i) columns[i] = first + i < words ? Own{x}[first + i] : zero();
    transpose(columns, numbers);
    FEDSECURE_UNROLLED
    for (std::size_t lane = 0; lane < 8; ++lane) {
      if (lane >= count) break;
      const Lanes odd = _mm512_bsrli_epi128(numbers[lane], 8);
      const Lanes joined = _mm512_or_si512(numbers[lane], _mm512_slli_epi64(odd, kRadix));
      const Lanes bytes = _mm512_permutexvar_epi8(map, _mm512_srlv_epi64(joined, shifts()));
      _mm512_mask_storeu_epi8(rows + lane * stride + start, there, bytes);
    }
  }
  clear_zmm();
}

constexpr unsigned kSlice = 8;  // words of a table that stay in the nearest cache

// The entries [0, 16 * kTables) of a row of the table. Bits 4 and up of the index choose between
// vectors.
template <unsigned kTables>
FEDSECURE_INLINE Lanes find(const Word* row, Lanes index, const __mmask8 (&bits)[4]) {
  if constexpr (kTables == 1) {
    return _mm512_permutex2var_epi64(_mm512_loadu_si512(row), index, _mm512_loadu_si512(row + 8));
  } else {
    constexpr unsigned kHalf = kTables / 2;
    constexpr unsigned kBit = kHalf == 1 ? 0 : kHalf == 2 ? 1 : kHalf == 4 ? 2 : 3;
    const Lanes lower = find<kHalf>(row, index, bits);
    const Lanes upper = find<kHalf>(row + 16 * kHalf, index, bits);
    return _mm512_mask_blend_epi64(bits[kBit], lower, upper);
  }
}

template <unsigned kTables>
void pick_from(const Word* table, unsigned words, const Word* index, std::size_t batches,
               Word* out) {
  for (unsigned first = 0; first < words; first += kSlice) {
    const unsigned end = first + kSlice < words ? first + kSlice : words;
    for (std::size_t batch = 0; batch < batches; ++batch) {
      const Lanes wanted = Own{index}[batch];
      __mmask8 bits[4];
      FEDSECURE_UNROLLED
      for (unsigned i = 0; i < 4; ++i) bits[i] = _mm512_test_epi64_mask(wanted, all(Word{16} << i));
      for (unsigned i = first; i < end; ++i) {
        const Word* const row = table + std::size_t{16} * kTables * i;
        put(out + 8 * words * batch, i, find<kTables>(row, wanted, bits));
      }
    }
  }
}

void pick_shared(const Word* table, unsigned entries, unsigned words, const Word* index,
                 std::size_t batches, Word* out) {
  switch (entries) {
    case 16:
      pick_from<1>(table, words, index, batches, out);
      break;
    case 32:
      pick_from<2>(table, words, index, batches, out);
      break;
    case 64:
      pick_from<4>(table, words, index, batches, out);
      break;
    case 128:
      pick_from<8>(table, words, index, batches, out);
      break;
    default:
      pick_from<16>(table, words, index, batches, out);
  }
  clear_zmm();
}

// Ten words at a time stay in registers while all entries go by.
void pick(const Word* table, unsigned entries, unsigned words, const Word* index, Word* out) {
  const Lanes wanted = Own{index}[0];
  for (unsigned first = 0; first < words; first += 2 * kBlock) {
    Lanes found[2 * kBlock];
    FEDSECURE_UNROLLED
    for (unsigned i = 0; i < 2 * kBlock; ++i) found[i] = zero();
    for (unsigned e = 0; e < entries; ++e) {
      const Own row{table + std::size_t{8} * (std::size_t{e} * words + first)};
      const Lanes chosen = _mm512_movm_epi64(_mm512_cmpeq_epi64_mask(wanted, all(e)));
      FEDSECURE_UNROLLED
      for (unsigned i = 0; i < 2 * kBlock; ++i)
        found[i] = _mm512_ternarylogic_epi64(found[i], chosen, row[i], 0xF8);
    }
    FEDSECURE_UNROLLED
    for (unsigned i = 0; i < 2 * kBlock; ++i) put(out, first + i, found[i]);
  }
  clear_zmm();
}

}  // namespace
}  // namespace fedsecure::kernels
