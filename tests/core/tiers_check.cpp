// Compares the generators of one kernel set with the portable ones, byte for byte: all ciphers, key
// streams and masks in all lanes, at starts and sizes around every border there is. Also for sets
// that the extension here cannot run, but an emulator or a program with emulated intrinsics can.
//
// Usage: tiers_check TIER; exit 0 if all is equal, 77 if there is no such tier.

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <string>
#include <vector>

#include "dispatch.hpp"
#include "masks.hpp"
#include "prg.hpp"

namespace {

using namespace fedsecure;

constexpr std::size_t kMost = 5003;
constexpr std::size_t kNumSeeds = 3;
const std::int8_t kSigns[kNumSeeds] = {1, -1, -1};
const std::size_t kCounts[] = {0, 1, 7, 15, 16, 17, 63, 64, 65, 255, 256, 257, 1024, 2049, kMost};
// The last ones are blocks before one where a 32-bit counter of AES, or of ChaCha20, would wrap.
const std::uint64_t kStarts[] = {
    0, 1, 15, 64, 1000, 1ULL << 33, (1ULL << 36) - 80, (1ULL << 38) - 200};

const Kernels& kernels_of(const std::string& name) {
  select_kernels(name);
  return active_kernels();
}

Seeds seeds(Prg prg) {
  static std::uint8_t bytes[kNumSeeds * kMaxSeedBytes];
  for (std::size_t i = 0; i < sizeof bytes; ++i) bytes[i] = static_cast<std::uint8_t>(i * 53 + 29);
  return {prg, bytes, kNumSeeds};
}

template <typename Word>
std::vector<Word> masked(const MaskSum& masks, std::size_t count, std::uint64_t first) {
  std::vector<Word> sum(count);
  for (std::size_t i = 0; i < count; ++i) sum[i] = static_cast<Word>(i * 0x9E3779B97F4A7C15u);
  masks.add(span<Word>(sum.data(), count), first);
  return sum;
}

template <typename Word>
int wrong_masks(const MaskSum& ours, const MaskSum& portable) {
  int wrong = 0;
  for (const std::size_t count : kCounts)
    for (const std::uint64_t start : kStarts)
      wrong += masked<Word>(ours, count, start) != masked<Word>(portable, count, start) ? 1 : 0;
  return wrong;
}

std::vector<std::uint8_t> stream(const PrgKeys& keys, std::size_t count, std::uint64_t start) {
  std::vector<std::uint8_t> bytes(count);
  keys.keystream(1, start, {bytes.data(), count});
  return bytes;
}

int wrong_streams(const PrgKeys& ours, const PrgKeys& portable) {
  int wrong = 0;
  for (const std::size_t count : kCounts)
    for (const std::uint64_t start : kStarts)
      wrong += stream(ours, count, start) != stream(portable, count, start) ? 1 : 0;
  for (std::size_t i = 0; i < kNumSeeds; ++i)
    wrong += std::memcmp(&ours[i], &portable[i], sizeof ours[i]) != 0 ? 1 : 0;
  return wrong;
}

int wrong(const std::string& tier, Prg prg) {
  const Kernels& own = kernels_of(tier);
  const Kernels& plain = kernels_of("portable");
  const span<const std::int8_t> signs(kSigns, kNumSeeds);
  const MaskSum ours(own, seeds(prg), signs);
  const MaskSum portable(plain, seeds(prg), signs);
  return wrong_streams(PrgKeys(own, seeds(prg)), PrgKeys(plain, seeds(prg))) +
         wrong_masks<std::uint16_t>(ours, portable) + wrong_masks<std::uint32_t>(ours, portable) +
         wrong_masks<std::uint64_t>(ours, portable);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) return 2;
  const std::vector<std::string> tiers = available_kernels();
  if (std::find(tiers.begin(), tiers.end(), argv[1]) == tiers.end()) return 77;
  int found = 0;
  for (const Prg prg : {Prg::aes128, Prg::aes256, Prg::chacha20}) found += wrong(argv[1], prg);
  std::printf("%d results differ\n", found);
  return found == 0 ? 0 : 1;
}
