// A client's whole way from floats to masked, packed bytes in one pass: each weight is read once,
// and written once, as its b packed bits. In between it lives in a tile on the stack, so neither a
// vector of unmasked integers nor one of masks is ever in memory.
#pragma once

#include <cstdint>
#include <variant>
#include <vector>

#include "fixed_point.hpp"
#include "span.hpp"

namespace fedsecure {

// A number of IEEE 754's binary16.
struct Half {
  std::uint16_t bits;
};

// The elements of a vector in a row: those of `floats`, encoded, and then `integers` as they are.
struct PassInput {
  std::vector<std::variant<span<const Half>, span<const float>, span<const double>>> floats;
  std::vector<std::uint64_t> integers;

  std::uint64_t size() const;
};

struct PassMasks {
  Seeds seeds;  // one for each sign
  span<const std::int8_t> signs;
};

// Writes element i of the input, encoded as encode() does (halves as the floats they equal; its
// random words and those of the masks are number options.first + i), plus all masks, mod 2^bits and
// packed as pack() does. Lanes, whose width decides the words of a mask, have the least of 16, 32
// and 64 bits that holds `bits`.
//
// Returns how many floats were outside [-clip, clip]. Throws std::invalid_argument as encode(),
// apply_masks() and pack() do; what `out`, of packed_size(input.size(), bits) bytes, holds then
// must not be used. Constant time in values and seeds, as they are.
std::uint64_t encode_masked(const PassInput& input, const EncodeOptions& options,
                            const PassMasks& masks, unsigned bits, span<std::uint8_t> out);

}  // namespace fedsecure
