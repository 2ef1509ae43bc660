// Bit packing with AVX2 (compiled with the flags of the tier): widths of 17 to 31 bits in 32-bit
// lanes and of 33 to 58 (and 60) in 64-bit lanes. Other widths, and what is too little for a
// step, are left to the portable kernel.
//
// One step is 8 elements, which take `bits` bytes: every step begins at a byte. AVX2 permutes bytes
// only within 16 of them, so a register of elements is packed from two parts.

#include <immintrin.h>

#include "kernels.hpp"

namespace fedsecure::kernels {
namespace {

constexpr std::size_t kStep = 8;
constexpr std::size_t kWorthSetUp = 256;  // elements; the tables cost as much as some steps
constexpr std::size_t kAhead = 8192;      // bytes to fetch ahead; what measured best

template <typename Word>
constexpr const LaneKernels<Word>& portable() {
  if constexpr (sizeof(Word) == 2) return kPackPortable.u16;
  if constexpr (sizeof(Word) == 4) return kPackPortable.u32;
  if constexpr (sizeof(Word) == 8) return kPackPortable.u64;
}

inline __m128i get_half(const void* from) {
  return _mm_loadu_si128(static_cast<const __m128i*>(from));
}
inline __m256i get(const void* from) {
  return _mm256_loadu_si256(static_cast<const __m256i*>(from));
}
inline void put(void* to, __m256i value) { _mm256_storeu_si256(static_cast<__m256i*>(to), value); }

inline __m256i repeat(std::uint64_t value) {
  return _mm256_set1_epi64x(static_cast<long long>(value));
}

inline __m256i low_bits(unsigned bits, std::size_t word_bytes) {
  const std::uint64_t low = ~std::uint64_t{0} >> (64 - bits);
  return repeat(word_bytes == 4 ? low << 32 | low : low);
}

// Whether runs of that many bits, one after the other, lie each within `places` bits that begin at
// a byte.
constexpr bool lie_within(unsigned run, unsigned places) {
  const unsigned alignment = run & (0 - run);  // of where runs start
  return run + (alignment < 8 ? 8 - alignment : 0) <= places;
}

// Steps whose 16 bytes at `last` of a step, too, are within the packed form of `count` elements.
inline std::size_t steps_inside(std::size_t count, unsigned bits, std::size_t last) {
  const std::size_t size = count / kStep * bits + (count % kStep * bits + 7) / 8;
  return size < last + 16 ? 0 : (size - last - 16) / bits + 1;
}

// Elements [first, first + 32 / sizeof(Word)) of a step, from 16 bytes at `base` and at `middle` of
// it.
template <typename Word>
struct Unpacking {
  static constexpr unsigned kPart = 16 / sizeof(Word);
  std::size_t base;
  std::size_t middle;
  __m256i bytes;        // where the lowest sizeof(Word) bytes of an element come from,
  __m256i shifts;       // how far they go down,
  __m256i next_bytes;   // where the byte after them comes from,
  __m256i next_shifts;  // and how far that goes up
  __m256i mask;

  Unpacking(unsigned first, unsigned bits)
      : base(first * bits / 8),
        middle((first + kPart) * bits / 8),
        mask(low_bits(bits, sizeof(Word))) {
    std::uint8_t from[32];
    std::uint8_t next[32];
    Word down[2 * kPart];
    Word up[2 * kPart];
    for (unsigned i = 0; i < 2 * kPart; ++i) {
      const auto origin = static_cast<unsigned>(i < kPart ? base : middle);
      const unsigned start = (first + i) * bits - 8 * origin;
      down[i] = start % 8;
      up[i] = 8 * sizeof(Word) - start % 8;
      for (unsigned j = 0; j < sizeof(Word); ++j) {
        const unsigned byte = start / 8 + j;
        from[i * sizeof(Word) + j] = static_cast<std::uint8_t>(byte & 15);
        next[i * sizeof(Word) + j] =
            static_cast<std::uint8_t>(j == 0 ? (byte + sizeof(Word)) & 15 : 0x80);
      }
    }
    bytes = get(from);
    shifts = get(down);
    next_bytes = get(next);
    next_shifts = get(up);
  }

  template <bool kNext>
  __m256i apply(const std::uint8_t* data) const {
    const __m256i packed = _mm256_inserti128_si256(_mm256_castsi128_si256(get_half(data + base)),
                                                   get_half(data + middle), 1);
    const __m256i low = _mm256_shuffle_epi8(packed, bytes);
    if constexpr (sizeof(Word) == 8) return _mm256_and_si256(_mm256_srlv_epi64(low, shifts), mask);
    __m256i value = _mm256_srlv_epi32(low, shifts);
    if constexpr (kNext) {
      const __m256i next = _mm256_shuffle_epi8(packed, next_bytes);
      value = _mm256_or_si256(value, _mm256_sllv_epi32(next, next_shifts));
    }
    return _mm256_and_si256(value, mask);
  }
};

template <bool kAdd, typename Word>
inline void put_unpacked(Word* out, __m256i value) {
  if constexpr (kAdd && sizeof(Word) == 4) value = _mm256_add_epi32(get(out), value);
  if constexpr (kAdd && sizeof(Word) == 8) value = _mm256_add_epi64(get(out), value);
  put(out, value);
}

// The functions that end in _steps or _most return how many elements they did.

template <bool kAdd, bool kNext, typename Word>
inline std::size_t unpack_steps(const std::uint8_t* data, std::size_t count, unsigned bits,
                                Word* out) {
  constexpr unsigned kRegister = 32 / sizeof(Word);
  const Unpacking<Word> first(0, bits);
  const Unpacking<Word> second(kStep - kRegister, bits);
  const std::size_t steps = steps_inside(count, bits, second.middle);
  for (std::size_t i = 0; i < steps; ++i, data += bits, out += kStep) {
    fetch_ahead(data, kAhead);
    fetch_ahead(out, kAhead);
    put_unpacked<kAdd>(out, first.template apply<kNext>(data));
    if constexpr (kRegister < kStep)
      put_unpacked<kAdd>(out + kRegister, second.template apply<kNext>(data));
  }
  _mm256_zeroall();
  return steps * kStep;
}

template <bool kAdd, typename Word>
inline std::size_t unpack_most(const std::uint8_t* data, std::size_t count, unsigned bits,
                               Word* out) {
  if (count < kWorthSetUp) return 0;
  if constexpr (sizeof(Word) == 4) {
    if (bits <= 16 || bits == 32) return 0;
    if (lie_within(bits, 32)) return unpack_steps<kAdd, false>(data, count, bits, out);
    return unpack_steps<kAdd, true>(data, count, bits, out);
  }
  if constexpr (sizeof(Word) == 8)
    if (bits > 32 && lie_within(bits, 64)) return unpack_steps<kAdd, false>(data, count, bits, out);
  return 0;
}

template <typename Word>
void unpack(const std::uint8_t* data, std::size_t count, unsigned bits, Word* out) {
  const std::size_t done = unpack_most<false>(data, count, bits, out);
  portable<Word>().unpack(data + done / kStep * bits, count - done, bits, out + done);
}

template <typename Word>
void unpack_add(const std::uint8_t* data, std::size_t count, unsigned bits, Word* acc) {
  const std::size_t done = unpack_most<true>(data, count, bits, acc);
  portable<Word>().unpack_add(data + done / kStep * bits, count - done, bits, acc + done);
}

// 4 places of 64 bits, the `first` of a step and its neighbors, in each of which is a run of `run`
// bits. Two runs are a part, of up to 16 bytes, that goes to `base` or `middle` of the step.
struct Packing {
  std::size_t base;
  std::size_t middle;
  __m256i shifts;    // to bring each run to its bit of a byte
  __m256i even;      // which bytes come from the first run of a part,
  __m256i odd;       // and which from the second
  __m256i overlaps;  // which byte, if any, the next part begins in

  Packing(unsigned first, unsigned run) : base(first * run / 8), middle((first + 2) * run / 8) {
    std::uint64_t up[4];
    std::uint8_t from[2][32];
    std::uint8_t over[32];
    std::memset(from, 0x80, sizeof from);  // gives zero
    std::memset(over, 0x80, sizeof over);
    for (unsigned place = 0; place < 4; ++place) {
      const unsigned part = place / 2;
      const unsigned origin = static_cast<unsigned>(part == 0 ? base : middle);
      const unsigned start = (first + place) * run - 8 * origin;
      const unsigned end = start + run;
      up[place] = start % 8;
      for (unsigned at = start / 8; at <= (end - 1) / 8; ++at)
        from[place % 2][16 * part + at] =
            static_cast<std::uint8_t>(8 * (place % 2) + at - start / 8);
      if (place % 2 == 1 && end % 8 != 0) over[16 * part] = static_cast<std::uint8_t>(end / 8);
    }
    shifts = get(up);
    even = get(from[0]);
    odd = get(from[1]);
    overlaps = get(over);
  }

  __m256i apply(__m256i runs) const {
    const __m256i shifted = _mm256_sllv_epi64(runs, shifts);
    return _mm256_or_si256(_mm256_shuffle_epi8(shifted, even), _mm256_shuffle_epi8(shifted, odd));
  }
  __m256i overlap(__m256i packed) const { return _mm256_shuffle_epi8(packed, overlaps); }
  // What is written beyond a part is written again, with the next one.
  void put_parts(std::uint8_t* out, __m256i packed) const {
    _mm_storeu_si128(reinterpret_cast<__m128i*>(out + base), _mm256_castsi256_si128(packed));
    _mm_storeu_si128(reinterpret_cast<__m128i*>(out + middle), _mm256_extracti128_si256(packed, 1));
  }
};

// The elements of 4 places: pairs of them, side by side, or each alone.
inline __m256i runs_of_pairs(const std::uint32_t* x, __m256i mask, __m128i bits) {
  const __m256i value = _mm256_and_si256(get(x), mask);
  const __m256i low = _mm256_and_si256(value, repeat(0xFFFFFFFF));
  return _mm256_or_si256(low, _mm256_sll_epi64(_mm256_srli_epi64(value, 32), bits));
}
inline __m256i runs_of_one(const std::uint32_t* x, __m256i mask) {
  return _mm256_and_si256(_mm256_cvtepu32_epi64(get_half(x)), mask);
}
inline __m256i runs_of_one(const std::uint64_t* x, __m256i mask) {
  return _mm256_and_si256(get(x), mask);
}

inline std::size_t pack_pair_steps(const std::uint32_t* x, std::size_t count, unsigned bits,
                                   std::uint8_t* out) {
  const Packing packing(0, 2 * bits);
  const __m256i mask = low_bits(bits, sizeof *x);
  const __m128i once = _mm_cvtsi32_si128(static_cast<int>(bits));
  const std::size_t steps = steps_inside(count, bits, packing.middle);
  for (std::size_t i = 0; i < steps; ++i, x += kStep, out += bits) {
    const __m256i parts = packing.apply(runs_of_pairs(x, mask, once));
    const __m256i over = packing.overlap(parts);
    packing.put_parts(out, _mm256_or_si256(parts, _mm256_permute2x128_si256(over, over, 0x08)));
  }
  _mm256_zeroall();
  return steps * kStep;
}

template <typename Word>
inline std::size_t pack_single_steps(const Word* x, std::size_t count, unsigned bits,
                                     std::uint8_t* out) {
  const Packing first(0, bits);
  const Packing second(4, bits);
  const __m256i mask = low_bits(bits, sizeof(std::uint64_t));
  const std::size_t steps = steps_inside(count, bits, second.middle);
  for (std::size_t i = 0; i < steps; ++i, x += kStep, out += bits) {
    const __m256i low = first.apply(runs_of_one(x, mask));
    const __m256i high = second.apply(runs_of_one(x + 4, mask));
    const __m256i over_low = first.overlap(low);
    const __m256i over_high = second.overlap(high);
    first.put_parts(out, _mm256_or_si256(low, _mm256_permute2x128_si256(over_low, over_low, 0x08)));
    second.put_parts(out,
                     _mm256_or_si256(high, _mm256_permute2x128_si256(over_low, over_high, 0x21)));
  }
  _mm256_zeroall();
  return steps * kStep;
}

template <typename Word>
inline std::size_t pack_most(const Word* x, std::size_t count, unsigned bits, std::uint8_t* out) {
  if (count < kWorthSetUp) return 0;
  if constexpr (sizeof(Word) == 4) {
    if (bits <= 16 || bits == 32) return 0;
    if (lie_within(2 * bits, 64)) return pack_pair_steps(x, count, bits, out);
    return pack_single_steps(x, count, bits, out);
  }
  if constexpr (sizeof(Word) == 8)
    if (bits > 32 && lie_within(bits, 64)) return pack_single_steps(x, count, bits, out);
  return 0;
}

template <typename Word>
void pack(const Word* x, std::size_t count, unsigned bits, std::uint8_t* out) {
  const std::size_t done = pack_most(x, count, bits, out);
  portable<Word>().pack(x + done, count - done, bits, out + done / kStep * bits);
}

// Sums wait for memory whatever the registers, so they are the portable ones.
template <typename Word>
void add(Word* acc, const Word* x, std::size_t count) {
  portable<Word>().add(acc, x, count);
}

template <typename Word>
constexpr LaneKernels<Word> kLane = {add<Word>, pack<Word>, unpack<Word>, unpack_add<Word>};

}  // namespace

const PackKernels kPackAvx2 = {kLane<std::uint16_t>, kLane<std::uint32_t>, kLane<std::uint64_t>};

}  // namespace fedsecure::kernels
