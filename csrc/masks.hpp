// Adding and subtracting masks (keystreams read as ring words) in place.
#pragma once

#include <cstdint>

#include "span.hpp"

namespace fedsecure {

// acc[i] += sum over j of signs[j] * word (first_word + i) of PRG(seeds[j]), wrapping in the lane,
// where word i of a keystream is little-endian at byte i * sizeof(Word). seeds holds signs.size()
// seeds of kSeedBytes one after the other; signs are +1 or -1 (public: who adds is decided by ids).
// Constant time in seeds and values; the keystream is wiped. threads: 0 for one per processor.
// Throws std::invalid_argument when a sign is neither or the words pass 2^63 bytes of keystream;
// then nothing was changed. Word: std::uint16_t, uint32_t or uint64_t.
template <typename Word>
void apply_masks(span<Word> acc, const std::uint8_t* seeds, span<const std::int8_t> signs,
                 std::uint64_t first_word, unsigned threads);

}  // namespace fedsecure
