// Prints keystream of one kernel set, for answers that the bound functions cannot reach: they stop
// at 2^63 bytes, and the counter of SP 800-38A, F.5.1, is larger.
//
// Usage: kernel_check TIER PRG SEED_HEX FIRST_BLOCK NUM_BLOCKS, in blocks of 64 bytes

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <vector>

#include "dispatch.hpp"

int main(int argc, char** argv) {
  using namespace fedsecure::kernels;
  if (argc != 6) return 2;
  fedsecure::select_kernels(argv[1]);
  const PrgKernels& table = *fedsecure::active_kernels().prg;
  const int prg = std::atoi(argv[2]);
  const CipherKernels& cipher = prg == 1 ? table.aes128 : prg == 2 ? table.aes256 : table.chacha20;
  if (std::strlen(argv[3]) != (prg == 1 ? 48 : 80)) return 2;
  unsigned char seed[kMaxSeedBytes];
  for (std::size_t i = 0; i < std::strlen(argv[3]) / 2; ++i) {
    const char digits[3] = {argv[3][2 * i], argv[3][2 * i + 1], 0};
    seed[i] = static_cast<unsigned char>(std::strtoul(digits, nullptr, 16));
  }
  PrgKey key;
  cipher.expand_key(seed, &key);
  const std::size_t num_blocks = std::strtoul(argv[5], nullptr, 10);
  std::vector<unsigned char> out(num_blocks * kBlockBytes);
  cipher.keystream(key, std::strtoull(argv[4], nullptr, 10), num_blocks, out.data());
  for (const unsigned char byte : out) std::printf("%02x", byte);
  std::printf("\n");
}
