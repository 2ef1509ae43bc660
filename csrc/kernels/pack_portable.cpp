// Bit packing of ring vectors in plain C++. Widths are public, so branches on them are fine; values
// only go through shifts, ORs and masks.

#include "kernels.hpp"

namespace fedsecure::kernels {
namespace {

constexpr std::size_t kAhead = 8192;  // bytes to fetch ahead

// The low `bits` bits set, 1 <= bits <= 64.
inline std::uint64_t low_bits(unsigned bits) { return ~std::uint64_t{0} >> (64 - bits); }

template <typename Word>
void add(Word* acc, const Word* x, std::size_t count) {
  for (std::size_t i = 0; i < count; ++i) acc[i] = static_cast<Word>(acc[i] + x[i]);
}

// Whole-byte widths: every element is a little-endian integer of sizeof(Packed) bytes.
template <typename Word, typename Packed>
void pack_whole(const Word* x, std::size_t count, std::uint8_t* out) {
  for (std::size_t i = 0; i < count; ++i)
    store(out + i * sizeof(Packed), static_cast<Packed>(x[i]));
}

// Any width: a 64-bit window that is written out when full.
template <typename Word>
void pack_bits(const Word* x, std::size_t count, unsigned bits, std::uint8_t* out) {
  const std::uint64_t mask = low_bits(bits);
  std::uint64_t window = 0;
  unsigned fill = 0;  // bits used in the window, < 64
  for (std::size_t i = 0; i < count; ++i) {
    const std::uint64_t value = x[i] & mask;
    window |= value << fill;
    if (fill + bits >= 64) {
      store(out, window);
      out += 8;
      // Two shifts: a single one by 64 (fill = 0, bits = 64) would be undefined.
      window = (value >> (63 - fill)) >> 1;
      fill = fill + bits - 64;
    } else {
      fill += bits;
    }
  }
  for (; fill != 0; fill = fill > 8 ? fill - 8 : 0, window >>= 8)
    *out++ = static_cast<std::uint8_t>(window);
}

template <typename Word>
void pack(const Word* x, std::size_t count, unsigned bits, std::uint8_t* out) {
  if (bits == 8) return pack_whole<Word, std::uint8_t>(x, count, out);
  if (bits == 16) return pack_whole<Word, std::uint16_t>(x, count, out);
  if (bits == 32) return pack_whole<Word, std::uint32_t>(x, count, out);
  if (bits == 64) return pack_whole<Word, std::uint64_t>(x, count, out);
  pack_bits(x, count, bits, out);
}

// What to do with an unpacked value.
template <typename Word>
struct Assign {
  static void apply(Word& to, std::uint64_t value) { to = static_cast<Word>(value); }
};

template <typename Word>
struct Add {
  static void apply(Word& to, std::uint64_t value) { to = static_cast<Word>(to + value); }
};

template <typename Packed, typename Op, typename Word>
void unpack_whole(const std::uint8_t* data, std::size_t count, Word* out) {
  for (std::size_t i = 0; i < count; ++i)
    Op::apply(out[i], load<Packed>(data + i * sizeof(Packed)));
}

// Element `i` of packed data, reading 8 (kWide: 9) bytes from its first byte on. An element of up
// to 57 bits lies within 8 bytes whatever bit it starts at.
template <bool kWide>
inline std::uint64_t element(const std::uint8_t* data, std::size_t i, unsigned bits) {
  const std::uint64_t start = static_cast<std::uint64_t>(i) * bits;
  const std::uint8_t* const from = data + (start >> 3);
  const unsigned shift = start & 7;
  std::uint64_t value = load<std::uint64_t>(from) >> shift;
  if constexpr (kWide) value |= (static_cast<std::uint64_t>(from[8]) << 1) << (63 - shift);
  return value & low_bits(bits);
}

// How many leading elements can be read with `reach` bytes from their first byte on, staying inside
// the buffer of ceil(count * bits / 8) bytes.
inline std::size_t readable(std::size_t count, unsigned bits, std::size_t reach) {
  const std::size_t size = count / 8 * bits + (count % 8 * bits + 7) / 8;
  if (size < reach) return 0;
  const std::size_t last_start = size - reach;  // largest allowed first byte
  const std::size_t fits = static_cast<std::size_t>((std::uint64_t{last_start} * 8 + 7) / bits) + 1;
  return fits < count ? fits : count;
}

template <bool kWide, typename Op, typename Word>
void unpack_bits(const std::uint8_t* data, std::size_t count, unsigned bits, Word* out) {
  const std::size_t direct = readable(count, bits, kWide ? 9 : 8);
  constexpr std::size_t kPerLine = 64 / sizeof(Word);
  std::size_t i = 0;
  for (; direct - i >= kPerLine; i += kPerLine) {
    fetch_ahead(data + i / 8 * bits, kAhead);
    fetch_ahead(out + i, kAhead);
    for (std::size_t j = i; j < i + kPerLine; ++j) Op::apply(out[j], element<kWide>(data, j, bits));
  }
  for (; i < direct; ++i) Op::apply(out[i], element<kWide>(data, i, bits));
  // The last few elements go through a copy with room behind it.
  for (; i < count; ++i) {
    const std::uint64_t start = static_cast<std::uint64_t>(i) * bits;
    const std::size_t size = static_cast<std::size_t>(((start & 7) + bits + 7) / 8);
    std::uint8_t last[9] = {};
    std::memcpy(last, data + (start >> 3), size);
    std::uint64_t value = load<std::uint64_t>(last) >> (start & 7);
    value |= (static_cast<std::uint64_t>(last[8]) << 1) << (63 - (start & 7));
    Op::apply(out[i], value & low_bits(bits));
  }
}

template <template <typename> class Op, typename Word>
inline void unpack_with(const std::uint8_t* data, std::size_t count, unsigned bits, Word* out) {
  if (bits == 8) return unpack_whole<std::uint8_t, Op<Word>>(data, count, out);
  if (bits == 16) return unpack_whole<std::uint16_t, Op<Word>>(data, count, out);
  if (bits == 32) return unpack_whole<std::uint32_t, Op<Word>>(data, count, out);
  if (bits == 64) return unpack_whole<std::uint64_t, Op<Word>>(data, count, out);
  if (bits <= 57) return unpack_bits<false, Op<Word>>(data, count, bits, out);
  unpack_bits<true, Op<Word>>(data, count, bits, out);
}

template <typename Word>
void unpack(const std::uint8_t* data, std::size_t count, unsigned bits, Word* out) {
  unpack_with<Assign>(data, count, bits, out);
}

template <typename Word>
void unpack_add(const std::uint8_t* data, std::size_t count, unsigned bits, Word* acc) {
  unpack_with<Add>(data, count, bits, acc);
}

}  // namespace

const PackKernels kPackPortable = {
    {add<std::uint16_t>, pack<std::uint16_t>, unpack<std::uint16_t>, unpack_add<std::uint16_t>},
    {add<std::uint32_t>, pack<std::uint32_t>, unpack<std::uint32_t>, unpack_add<std::uint32_t>},
    {add<std::uint64_t>, pack<std::uint64_t>, unpack<std::uint64_t>, unpack_add<std::uint64_t>}};

}  // namespace fedsecure::kernels
