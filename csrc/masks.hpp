// Adding and subtracting masks (keystreams read as ring words) in place.
#pragma once

#include <cstdint>
#include <stdexcept>

#include "prg.hpp"
#include "span.hpp"

namespace fedsecure {

// Seeds with their signs, expanded once, for whoever adds their masks piece by piece. The seeds are
// copied; the signs are referred to.
class MaskSum {
 public:
  // Throws std::invalid_argument when a sign is neither +1 nor -1, or there is not one per seed.
  MaskSum(const Kernels& kernels, const Seeds& seeds, span<const std::int8_t> signs);

  std::size_t size() const { return keys_.size(); }

  // acc[i] += sum over j of signs[j] * word (first_word + i), on the calling thread. The last word
  // must pass check_words.
  template <typename Word>
  void add(span<Word> acc, std::uint64_t first_word) const;

 private:
  PrgKeys keys_;
  const std::int8_t* signs_;
};

// Throws std::invalid_argument when words [first_word, first_word + count) of a keystream pass 2^63
// bytes.
template <typename Word>
void check_words(std::uint64_t first_word, std::uint64_t count) {
  constexpr std::uint64_t kLimit = kKeystreamLimit / sizeof(Word);
  if (first_word >= kLimit || count > kLimit - first_word)
    throw std::invalid_argument("first_word + length must not pass 2**63 bytes of keystream");
}

// acc[i] += sum over j of signs[j] * word (first_word + i) of PRG(seeds[j]), wrapping in the lane,
// where word i of a keystream is little-endian at byte i * sizeof(Word). signs are +1 or -1, one
// for each seed (public: who adds is decided by ids). Constant time in seeds and values; the
// keystream is wiped. threads: 0 for one per processor. Throws std::invalid_argument when a sign is
// neither or the words pass 2^63 bytes of keystream; then nothing was changed. Word: std::uint16_t,
// uint32_t or uint64_t.
template <typename Word>
void apply_masks(span<Word> acc, const Seeds& seeds, span<const std::int8_t> signs,
                 std::uint64_t first_word, unsigned threads);

}  // namespace fedsecure
