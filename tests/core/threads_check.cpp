// Several threads use the core at once, each call on several threads of its own, while another one
// switches kernel sets. Built with ThreadSanitizer by test_thread_safety.py: a data race, or a
// result that differs from that of one thread, ends the program with an error.
//
//   threads_check            what must hold
//   threads_check control    a race on purpose, which must be reported

#include <cstdio>
#include <cstring>
#include <string>
#include <thread>
#include <vector>

#include "client_pass.hpp"
#include "dispatch.hpp"
#include "masks.hpp"
#include "ring.hpp"

namespace {

using namespace fedsecure;

constexpr std::size_t kCount = 150'001;
constexpr std::size_t kNumSeeds = 3;
constexpr Prg kPrg = Prg::aes128;
constexpr unsigned kBits = 21;
constexpr unsigned kUsers = 3;
constexpr int kTurns = 4;

// What all users share, and only read.
struct Shared {
  std::vector<float> floats = std::vector<float>(kCount);
  std::vector<std::uint8_t> seeds = std::vector<std::uint8_t>(kNumSeeds * seed_bytes(kPrg));
  std::int8_t signs[kNumSeeds] = {1, -1, 1};

  Shared() {
    for (std::size_t i = 0; i < kCount; ++i) floats[i] = static_cast<float>(i % 1000) / 500.0f;
    for (std::size_t i = 0; i < seeds.size(); ++i) seeds[i] = static_cast<std::uint8_t>(7 * i + 1);
  }
};

// Everything that runs on several threads, into memory of its own.
std::vector<std::uint32_t> use(const Shared& shared, unsigned threads) {
  const PassInput input{{span<const float>(shared.floats.data(), kCount)}, {}};
  const span<const std::int8_t> signs(shared.signs, kNumSeeds);
  const Seeds seeds{kPrg, shared.seeds.data(), kNumSeeds};
  const PassMasks masks{seeds, signs};
  const EncodeOptions options{1024.0, 4.0, {kPrg, shared.seeds.data(), 1}, 0, threads};
  std::vector<std::uint8_t> packed(packed_size(kCount, kBits));
  encode_masked(input, options, masks, kBits, {packed.data(), packed.size()});
  std::vector<std::uint32_t> total(kCount);
  const span<std::uint32_t> sum(total.data(), kCount);
  unpack_add<std::uint32_t>({packed.data(), packed.size()}, kBits, sum, threads);
  apply_masks(sum, seeds, signs, 5, threads);
  return total;
}

int together() {
  const Shared shared;
  const std::vector<std::uint32_t> wanted = use(shared, 1);
  std::vector<std::thread> users;
  std::vector<int> wrong(kUsers);
  for (unsigned user = 0; user < kUsers; ++user)
    users.emplace_back([&shared, &wanted, &wrong, user] {
      for (int turn = 0; turn < kTurns; ++turn) wrong[user] += use(shared, 2) != wanted ? 1 : 0;
    });
  const std::vector<std::string> names = available_kernels();
  for (int turn = 0; turn < 200; ++turn)
    select_kernels(names[static_cast<std::size_t>(turn) % names.size()]);
  for (std::thread& user : users) user.join();
  for (unsigned user = 0; user < kUsers; ++user)
    if (wrong[user] != 0) std::printf("user %u: %d wrong results\n", user, wrong[user]);
  return std::vector<int>(kUsers) == wrong ? 0 : 1;
}

int control() {
  int shared = 0;
  std::thread other([&shared] { ++shared; });
  ++shared;
  other.join();
  return shared == 2 ? 0 : 1;
}

}  // namespace

int main(int argc, char** argv) {
  return argc > 1 && std::strcmp(argv[1], "control") == 0 ? control() : together();
}
