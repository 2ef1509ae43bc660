// Bit packing with AVX-512 and its byte permutations (VBMI; compiled with the flags of the tier).
//
// One step is one register of elements: 8 of 64 bits, 16 of 32 or 32 of 16. Their packed form is a
// whole number of bytes, at most 64, so every step begins at a byte. In between, the elements that
// share a 64-bit place (1, 2 or 4) are one run of bits in the packed form. A run is at most 8 bytes
// with the bits before it in its first byte, for all but five widths. Of those, 31 takes steps of 8
// elements in 64 bits each; 59, 61, 62 and 63, and what is too little for a step, are left to the
// portable kernel.

#include "clear_zmm.hpp"
#include "kernels.hpp"

namespace fedsecure::kernels {
namespace {

constexpr unsigned kPlaces = 8;           // of 64 bits in a register
constexpr std::size_t kWorthSetUp = 256;  // elements; the tables cost as much as some steps
constexpr std::size_t kAhead = 8192;      // bytes to fetch ahead; what measured best

template <typename Word>
constexpr unsigned kPerPlace = 8 / sizeof(Word);

template <typename Word>
constexpr std::size_t kPerStep = kPlaces * kPerPlace<Word>;

template <typename Word>
inline bool fits(unsigned bits) {
  const unsigned run = kPerPlace<Word> * bits;
  const unsigned alignment = run & (0 - run);  // of where runs start
  return run + (alignment < 8 ? 8 - alignment : 0) <= 64;
}

template <typename Word>
constexpr const LaneKernels<Word>& portable() {
  if constexpr (sizeof(Word) == 2) return kPackPortable.u16;
  if constexpr (sizeof(Word) == 4) return kPackPortable.u32;
  if constexpr (sizeof(Word) == 8) return kPackPortable.u64;
}

// The lowest `size` bytes of a register, 1 <= size <= 64.
inline __mmask64 low_bytes(std::size_t size) { return ~std::uint64_t{0} >> (64 - size); }

template <typename Word>
inline __m512i repeat(Word value) {
  if constexpr (sizeof(Word) == 2) return _mm512_set1_epi16(static_cast<short>(value));
  if constexpr (sizeof(Word) == 4) return _mm512_set1_epi32(static_cast<int>(value));
  if constexpr (sizeof(Word) == 8) return _mm512_set1_epi64(static_cast<long long>(value));
}

template <typename Word>
inline __m512i low_bits(unsigned bits) {
  return repeat(static_cast<Word>(~std::uint64_t{0} >> (64 - bits)));
}

template <typename Word>
inline __m512i sum(__m512i a, __m512i b) {
  if constexpr (sizeof(Word) == 2) return _mm512_add_epi16(a, b);
  if constexpr (sizeof(Word) == 4) return _mm512_add_epi32(a, b);
  if constexpr (sizeof(Word) == 8) return _mm512_add_epi64(a, b);
}

// Which byte of the packed step comes to each byte of the register, and from which bit of its place
// on each byte of an element is then taken.
struct UnpackTables {
  __m512i bytes;
  __m512i shifts;
};

template <typename Word>
inline UnpackTables unpack_tables(unsigned bits) {
  alignas(64) std::uint8_t bytes[64];
  alignas(64) std::uint8_t shifts[64];
  for (unsigned place = 0; place < kPlaces; ++place) {
    const unsigned start = place * kPerPlace<Word> * bits;
    for (unsigned i = 0; i < 8; ++i) {
      const unsigned element = i / sizeof(Word);
      const unsigned byte = i % sizeof(Word);
      bytes[8 * place + i] = static_cast<std::uint8_t>((start / 8 + i) & 63);
      // Beyond the place the count wraps around; such bits are above the element's and masked off.
      shifts[8 * place + i] =
          static_cast<std::uint8_t>((start % 8 + element * bits + 8 * byte) & 63);
    }
  }
  return {_mm512_load_si512(bytes), _mm512_load_si512(shifts)};
}

// A step of Words in memory, as Wide elements of a register and back.
template <typename Wide, typename Word>
inline __m512i get(const Word* x) {
  if constexpr (sizeof(Wide) == sizeof(Word)) return _mm512_loadu_si512(x);
  if constexpr (sizeof(Wide) != sizeof(Word))
    return _mm512_cvtepu32_epi64(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(x)));
}

template <typename Wide, typename Word>
inline void put(Word* out, __m512i value) {
  if constexpr (sizeof(Wide) == sizeof(Word))
    _mm512_storeu_si512(out, value);
  else
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(out), _mm512_cvtepi64_epi32(value));
}

// The functions that end in _steps return how many elements they did.

template <bool kAdd, typename Wide, typename Word>
inline std::size_t unpack_steps(const std::uint8_t* data, std::size_t count, unsigned bits,
                                Word* out) {
  const UnpackTables tables = unpack_tables<Wide>(bits);
  const __m512i mask = low_bits<Wide>(bits);
  const std::size_t step_bytes = kPerStep<Wide> / 8 * bits;
  const __mmask64 readable = low_bytes(step_bytes);
  std::size_t done = 0;
  for (; count - done >= kPerStep<Wide>; done += kPerStep<Wide>, data += step_bytes) {
    fetch_ahead(data, kAhead);
    fetch_ahead(out + done, kAhead);
    const __m512i packed = _mm512_maskz_loadu_epi8(readable, data);
    const __m512i places = _mm512_permutexvar_epi8(tables.bytes, packed);
    __m512i value = _mm512_and_si512(_mm512_multishift_epi64_epi8(tables.shifts, places), mask);
    if constexpr (kAdd) value = sum<Wide>(get<Wide>(out + done), value);
    put<Wide>(out + done, value);
  }
  clear_zmm();
  return done;
}

template <bool kAdd, typename Word>
inline std::size_t unpack_most(const std::uint8_t* data, std::size_t count, unsigned bits,
                               Word* out) {
  if (count < kWorthSetUp) return 0;
  if (fits<Word>(bits)) return unpack_steps<kAdd, Word>(data, count, bits, out);
  if constexpr (sizeof(Word) == 4) return unpack_steps<kAdd, std::uint64_t>(data, count, bits, out);
  return 0;
}

template <typename Word>
void unpack(const std::uint8_t* data, std::size_t count, unsigned bits, Word* out) {
  const std::size_t done = unpack_most<false>(data, count, bits, out);
  portable<Word>().unpack(data + done / 8 * bits, count - done, bits, out + done);
}

template <typename Word>
void unpack_add(const std::uint8_t* data, std::size_t count, unsigned bits, Word* acc) {
  const std::size_t done = unpack_most<true>(data, count, bits, acc);
  portable<Word>().unpack_add(data + done / 8 * bits, count - done, bits, acc + done);
}

// Elements of one place, of `bits` bits each, side by side.
template <typename Word>
inline __m512i join(__m512i x, __m128i bits, __m128i twice_bits) {
  if constexpr (sizeof(Word) == 2) {
    const __m512i low = _mm512_and_si512(x, _mm512_set1_epi32(0xFFFF));
    x = _mm512_or_si512(low, _mm512_sll_epi32(_mm512_srli_epi32(x, 16), bits));
    bits = twice_bits;
  }
  if constexpr (sizeof(Word) <= 4) {
    const __m512i low = _mm512_and_si512(x, _mm512_set1_epi64(0xFFFFFFFF));
    x = _mm512_or_si512(low, _mm512_sll_epi64(_mm512_srli_epi64(x, 32), bits));
  }
  return x;
}

// Runs of neighboring places can meet in one byte, those of places 0, 2, 4, 6 cannot, nor those of
// 1, 3, 5, 7 (a run has 8 bits at least): bytes are gathered from either and joined.
struct PackTables {
  __m512i shifts;  // to bring each run to its bit of a byte
  __m512i bytes[2];
  __mmask64 used[2];
};

template <typename Word>
inline PackTables pack_tables(unsigned bits) {
  alignas(64) std::uint64_t shifts[kPlaces];
  alignas(64) std::uint8_t bytes[2][64] = {};
  std::uint64_t used[2] = {};
  for (unsigned place = 0; place < kPlaces; ++place) {
    const unsigned start = place * kPerPlace<Word> * bits;
    const unsigned last = start + kPerPlace<Word> * bits - 1;
    shifts[place] = start % 8;
    for (unsigned at = start / 8; at <= last / 8; ++at) {
      bytes[place % 2][at] = static_cast<std::uint8_t>(8 * place + at - start / 8);
      used[place % 2] |= std::uint64_t{1} << at;
    }
  }
  return {_mm512_load_si512(shifts),
          {_mm512_load_si512(bytes[0]), _mm512_load_si512(bytes[1])},
          {used[0], used[1]}};
}

template <typename Wide, typename Word>
inline std::size_t pack_steps(const Word* x, std::size_t count, unsigned bits, std::uint8_t* out) {
  const PackTables tables = pack_tables<Wide>(bits);
  const __m512i mask = low_bits<Wide>(bits);
  const __m128i once = _mm_cvtsi32_si128(static_cast<int>(bits));
  const __m128i twice = _mm_cvtsi32_si128(static_cast<int>(2 * bits));
  const std::size_t step_bytes = kPerStep<Wide> / 8 * bits;
  const __mmask64 writable = low_bytes(step_bytes);
  std::size_t done = 0;
  for (; count - done >= kPerStep<Wide>; done += kPerStep<Wide>, out += step_bytes) {
    const __m512i value = _mm512_and_si512(get<Wide>(x + done), mask);
    const __m512i runs = _mm512_sllv_epi64(join<Wide>(value, once, twice), tables.shifts);
    const __m512i even = _mm512_maskz_permutexvar_epi8(tables.used[0], tables.bytes[0], runs);
    const __m512i odd = _mm512_maskz_permutexvar_epi8(tables.used[1], tables.bytes[1], runs);
    _mm512_mask_storeu_epi8(out, writable, _mm512_or_si512(even, odd));
  }
  clear_zmm();
  return done;
}

template <typename Word>
inline std::size_t pack_most(const Word* x, std::size_t count, unsigned bits, std::uint8_t* out) {
  if (count < kWorthSetUp || bits == 8 * sizeof(Word)) return 0;  // whole words are only copied
  if (fits<Word>(bits)) return pack_steps<Word>(x, count, bits, out);
  if constexpr (sizeof(Word) == 4) return pack_steps<std::uint64_t>(x, count, bits, out);
  return 0;
}

template <typename Word>
void pack(const Word* x, std::size_t count, unsigned bits, std::uint8_t* out) {
  const std::size_t done = pack_most(x, count, bits, out);
  portable<Word>().pack(x + done, count - done, bits, out + done / 8 * bits);
}

// Sums wait for memory whatever the registers, so they are the portable ones.
template <typename Word>
void add(Word* acc, const Word* x, std::size_t count) {
  portable<Word>().add(acc, x, count);
}

template <typename Word>
constexpr LaneKernels<Word> kLane = {add<Word>, pack<Word>, unpack<Word>, unpack_add<Word>};

}  // namespace

const PackKernels kPackVaes512 = {kLane<std::uint16_t>, kLane<std::uint32_t>, kLane<std::uint64_t>};

}  // namespace fedsecure::kernels
