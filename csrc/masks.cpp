#include "masks.hpp"

#include <algorithm>
#include <stdexcept>

#include "dispatch.hpp"
#include "parallel.hpp"
#include "prg.hpp"
#include "secret.hpp"

namespace fedsecure {
namespace {

constexpr std::uint64_t kGrainBytes = 1024 * 1024;  // of keystream over all seeds: worth a thread
constexpr std::uint64_t kAlignBytes = 1024;  // 64 blocks: what the portable kernel makes at once

struct Masks {
  const Kernels& kernels;
  PrgKeys keys;
  const std::int8_t* signs;
};

// Masks for acc, whose first word is word `first_word` of the streams. Kernels start at a block
// border: an odd start goes through a block of zeros, of which the wanted part is added.
template <typename Word>
void add_from(const Masks& masks, span<Word> acc, std::uint64_t first_word) {
  constexpr std::size_t kWordsPerBlock = kBlockBytes / sizeof(Word);
  const auto add = add_masks_kernel<Word>(*masks.kernels.prg);
  std::uint64_t block = first_word / kWordsPerBlock;
  const std::size_t skip = static_cast<std::size_t>(first_word % kWordsPerBlock);
  std::size_t done = 0;
  if (skip != 0) {
    Secret<Word[kWordsPerBlock]> whole;
    add(*whole, kWordsPerBlock, masks.keys.data(), masks.signs, masks.keys.size(), block++);
    done = std::min(acc.size(), kWordsPerBlock - skip);
    for (std::size_t i = 0; i < done; ++i) acc[i] = static_cast<Word>(acc[i] + (*whole)[skip + i]);
  }
  add(acc.data() + done, acc.size() - done, masks.keys.data(), masks.signs, masks.keys.size(),
      block);
}

void check_signs(span<const std::int8_t> signs) {
  for (const std::int8_t sign : signs)
    if (sign != 1 && sign != -1) throw std::invalid_argument("every sign must be +1 or -1");
}

}  // namespace

template <typename Word>
void apply_masks(span<Word> acc, const std::uint8_t* seeds, span<const std::int8_t> signs,
                 std::uint64_t first_word, unsigned threads) {
  check_signs(signs);
  constexpr std::uint64_t kLimit = kKeystreamLimit / sizeof(Word);
  if (first_word >= kLimit || acc.size() > kLimit - first_word)
    throw std::invalid_argument("first_word + length must not pass 2**63 bytes of keystream");
  if (acc.empty() || signs.empty()) return;
  const Kernels& kernels = active_kernels();
  const Masks masks{kernels, PrgKeys(kernels, seeds, signs.size()), signs.data()};
  const std::uint64_t grain = kGrainBytes / sizeof(Word) / signs.size() + 1;
  const Range range{first_word, first_word + acc.size(), grain, kAlignBytes / sizeof(Word)};
  parallel_for(range, threads, [&](std::uint64_t begin, std::uint64_t end) {
    add_from(masks, acc.subspan(begin - first_word, end - begin), begin);
  });
}

template void apply_masks(span<std::uint16_t>, const std::uint8_t*, span<const std::int8_t>,
                          std::uint64_t, unsigned);
template void apply_masks(span<std::uint32_t>, const std::uint8_t*, span<const std::int8_t>,
                          std::uint64_t, unsigned);
template void apply_masks(span<std::uint64_t>, const std::uint8_t*, span<const std::int8_t>,
                          std::uint64_t, unsigned);

}  // namespace fedsecure
