// Prints keystream of one kernel set, for answers that the bound functions cannot reach: they stop
// at 2^63 bytes, and the counter of SP 800-38A, F.5.1, is larger.
//
// Usage: kernel_check TIER SEED_HEX FIRST_BLOCK NUM_BLOCKS

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <vector>

#include "dispatch.hpp"

int main(int argc, char** argv) {
  using namespace fedsecure::kernels;
  if (argc != 5 || std::strlen(argv[2]) != 2 * kSeedBytes) return 2;
  fedsecure::select_kernels(argv[1]);
  const PrgKernels* const kernels = fedsecure::active_kernels().prg;
  unsigned char seed[kSeedBytes];
  for (std::size_t i = 0; i < kSeedBytes; ++i) {
    const char digits[3] = {argv[2][2 * i], argv[2][2 * i + 1], 0};
    seed[i] = static_cast<unsigned char>(std::strtoul(digits, nullptr, 16));
  }
  PrgKey key;
  kernels->expand_key(seed, &key);
  const std::size_t num_blocks = std::strtoul(argv[4], nullptr, 10);
  std::vector<unsigned char> out(num_blocks * kBlockBytes);
  kernels->keystream(key, std::strtoull(argv[3], nullptr, 10), num_blocks, out.data());
  for (const unsigned char byte : out) std::printf("%02x", byte);
  std::printf("\n");
}
