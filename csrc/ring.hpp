// Vectors over Z_2^bits in lanes of 16, 32 or 64 bits: addition and bit packing.
//
// Values in a lane may stand for themselves mod 2^lane; only packing reduces them mod 2^bits.
// Packed form: element i takes bits [i*bits, (i+1)*bits) of a little-endian bit string, least
// significant bit first; the padding bits of the last byte are zero.
//
// Everything is constant time in the values. Word: std::uint16_t, uint32_t or uint64_t. threads: 0
// for one per processor. Throws std::invalid_argument (before anything is changed) when sizes do
// not match or bits is outside [8, width of Word].
#pragma once

#include <cstdint>

#include "span.hpp"

namespace fedsecure {

constexpr unsigned kMinBits = 8;
constexpr unsigned kMaxBits = 64;

// Throws std::invalid_argument unless kMinBits <= bits <= lane_bits.
void check_bits(unsigned bits, unsigned lane_bits);

// ceil(count * bits / 8); throws std::invalid_argument when that does not fit 63 bits.
std::uint64_t packed_size(std::uint64_t count, unsigned bits);

// Throws std::invalid_argument unless `size` is packed_size(count, bits).
void check_packed(std::uint64_t size, std::uint64_t count, unsigned bits);

// acc[i] += x[i], wrapping in the lane. x may be acc itself.
template <typename Word>
void ring_add(span<Word> acc, span<const Word> x, unsigned threads);

// out must have packed_size(x.size(), bits) bytes.
template <typename Word>
void pack(span<const Word> x, unsigned bits, span<std::uint8_t> out, unsigned threads);

// data must have packed_size(out.size(), bits) bytes and zero padding bits.
template <typename Word>
void unpack(span<const std::uint8_t> data, unsigned bits, span<Word> out, unsigned threads);

// unpack, added to acc and wrapping in the lane.
template <typename Word>
void unpack_add(span<const std::uint8_t> data, unsigned bits, span<Word> acc, unsigned threads);

}  // namespace fedsecure
