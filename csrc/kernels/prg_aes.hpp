// AES-CTR by AES instructions, in whatever vector width a tier has. Several vectors are in flight,
// which hides the latency of a round. For prg_<tier>.cpp files, as prg_vector.hpp says.
#pragma once

#include "aes_key.hpp"
#include "prg_vector.hpp"

namespace fedsecure::kernels {
namespace {

template <typename V, std::size_t kRounds>
struct Aes {
  using Vector = V;
  using Reg = typename V::Reg;

  static constexpr std::size_t kInFlight = kRounds > 10 ? V::kInFlightLong : V::kInFlight;
  static constexpr std::size_t kTurnBytes = kInFlight * kVectorBytes<V>;

  struct RoundKeys {
    Reg k[kRounds + 1];
  };

  static void expand_key(const std::uint8_t* seed, PrgKey* key) {
    expand_aes_key<kRounds>(seed, key, V::sub_word);
  }

  static inline RoundKeys load_keys(const PrgKey& key) {
    RoundKeys keys;
    for (std::size_t r = 0; r <= kRounds; ++r) keys.k[r] = V::repeat(key.key + r * kAesBlockBytes);
    return keys;
  }

  // Encrypts the N vectors of consecutive counters that begin with `counter`, whose blocks are two
  // 64-bit lanes each (nonce, block number), so that counting is one instruction. A round takes the
  // key before it and the one after: processors differ in which of them belongs to its instruction.
  template <std::size_t N>
  static inline void encrypt(const RoundKeys& keys, Reg counter, Reg (&out)[N]) {
    for (std::size_t i = 0; i < N; ++i)
      out[i] = V::start(V::count(counter, i * V::kBlocks), keys.k[0]);
    for (std::size_t r = 1; r < kRounds; ++r)
      for (std::size_t i = 0; i < N; ++i) out[i] = V::round(out[i], keys.k[r - 1], keys.k[r]);
    for (std::size_t i = 0; i < N; ++i)
      out[i] = V::last_round(out[i], keys.k[kRounds - 1], keys.k[kRounds]);
  }

  template <typename Op>
  static inline void run(const PrgKey& key, std::uint64_t block, std::uint8_t* to, std::size_t size,
                         Ahead<V>& ahead) {
    constexpr std::size_t kBytes = kVectorBytes<V>;
    const RoundKeys keys = load_keys(key);
    constexpr std::uint64_t kPerBlock = kBlockBytes / kAesBlockBytes;
    Reg counter = V::counter(load<std::uint64_t>(key.nonce), block * kPerBlock);
    for (; size >= kTurnBytes; size -= kTurnBytes, to += kTurnBytes) {
      ahead.turn();
      Reg masks[kInFlight];
      encrypt(keys, counter, masks);
      counter = V::count(counter, kInFlight * V::kBlocks);
      for (std::size_t i = 0; i < kInFlight; ++i) Op::apply(to + i * kBytes, masks[i]);
    }
    while (size != 0) {
      Reg mask[1];
      encrypt(keys, counter, mask);
      counter = V::count(counter, V::kBlocks);
      const std::size_t part = size < kBytes ? size : kBytes;
      apply_part<V, Op>(to, mask[0], part);
      size -= part;
      to += part;
    }
  }
};

}  // namespace
}  // namespace fedsecure::kernels
