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
constexpr std::uint64_t kAlignBytes = 1024;  // 16 blocks: what the portable kernels make at once

span<const std::int8_t> checked(span<const std::int8_t> signs) {
  for (const std::int8_t sign : signs)
    if (sign != 1 && sign != -1) throw std::invalid_argument("every sign must be +1 or -1");
  return signs;
}

}  // namespace

MaskSum::MaskSum(const Kernels& kernels, const Seeds& seeds, span<const std::int8_t> signs)
    : keys_(kernels, seeds), signs_(checked(signs).data()) {
  if (seeds.count != signs.size())
    throw std::invalid_argument("there must be as many signs as seeds");
}

// Kernels start at a block border: an odd start goes through a block of zeros, of which the wanted
// part is added.
template <typename Word>
void MaskSum::add(span<Word> acc, std::uint64_t first_word) const {
  constexpr std::size_t kWordsPerBlock = kBlockBytes / sizeof(Word);
  const auto add = add_masks_kernel<Word>(keys_.cipher());
  std::uint64_t block = first_word / kWordsPerBlock;
  const std::size_t skip = static_cast<std::size_t>(first_word % kWordsPerBlock);
  std::size_t done = 0;
  if (skip != 0) {
    Secret<Word[kWordsPerBlock]> whole;
    add(*whole, kWordsPerBlock, keys_.data(), signs_, keys_.size(), block++);
    done = std::min(acc.size(), kWordsPerBlock - skip);
    for (std::size_t i = 0; i < done; ++i) acc[i] = static_cast<Word>(acc[i] + (*whole)[skip + i]);
  }
  add(acc.data() + done, acc.size() - done, keys_.data(), signs_, keys_.size(), block);
}

template <typename Word>
void apply_masks(span<Word> acc, const Seeds& seeds, span<const std::int8_t> signs,
                 std::uint64_t first_word, unsigned threads) {
  check_words<Word>(first_word, acc.size());
  const MaskSum masks(active_kernels(), seeds, signs);
  if (acc.empty() || signs.empty()) return;
  const std::uint64_t grain = kGrainBytes / sizeof(Word) / signs.size() + 1;
  const Range range{first_word, first_word + acc.size(), grain, kAlignBytes / sizeof(Word)};
  parallel_for(range, threads, [&](std::uint64_t begin, std::uint64_t end) {
    masks.add(acc.subspan(begin - first_word, end - begin), begin);
  });
}

#define FEDSECURE_LANE(Word)                                                                  \
  template void MaskSum::add(span<Word>, std::uint64_t) const;                                \
  template void apply_masks(span<Word>, const Seeds&, span<const std::int8_t>, std::uint64_t, \
                            unsigned)
FEDSECURE_LANE(std::uint16_t);
FEDSECURE_LANE(std::uint32_t);
FEDSECURE_LANE(std::uint64_t);
#undef FEDSECURE_LANE

}  // namespace fedsecure
