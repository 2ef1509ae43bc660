// Several small integers in one plaintext of Paillier: slot j of a row has the bits from `bits` * j
// on. The numbers are signed, and so is their sum with weights 2^(bits * j), which is taken modulo
// n. Constant time in all numbers but for the verdict; n, sizes and widths are public.
#pragma once

#include <cstdint>

#include "span.hpp"

namespace fedsecure {

// n odd, with its top bit set; bits * slots <= 8 * size of n - 2, which must be a multiple of 8
// bytes.
struct Slots {
  unsigned bits;  // 8 to 64
  std::size_t count;
  span<const std::uint8_t> n;

  std::size_t rows(std::size_t size) const { return (size + count - 1) / count; }
};

// Throws std::invalid_argument for slots that are not as above.
void check_slots(const Slots& slots);

// x[i] modulo 2^bits, in two's complement; missing ones are 0. Word: uint16, uint32, uint64.
template <typename Word>
void pack_slots(span<const Word> x, const Slots& slots, span<std::uint8_t> rows);

// Back, to the two's complement of Word. Throws std::invalid_argument where a plaintext is not
// below n or does not fit; out is then zeroed.
template <typename Word>
void unpack_slots(span<const std::uint8_t> rows, const Slots& slots, span<Word> out);

}  // namespace fedsecure
