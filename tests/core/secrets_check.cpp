// What the core does with secrets, seen from outside it. Built with FEDSECURE_CONSTTIME_CHECK and
// run by valgrind for the second use; both are driven by test_secrets.py.
//
//   secrets_check residue TIER OPERATION [PRG]
//       exit 1 if secrets are left on the stack or in vector registers after the call
//   secrets_check consttime TIER OPERATION [PRG]
//       marks the secrets as uninitialised; valgrind then reports every branch and address that
//       depends on one (exit 77: valgrind's processor has no such tier)
//   secrets_check kernels TIER any
//       the same for the fixed-point and packing kernels called directly: those of AVX2 run where
//       the tier's generator cannot
//   secrets_check control any any
//       what valgrind must report: a table look-up by secret

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "client_pass.hpp"
#include "dispatch.hpp"
#include "fixed_point.hpp"
#include "masks.hpp"
#include "paillier_secret.hpp"
#include "prg.hpp"
#include "ring.hpp"
#include "sampler.hpp"
#include "shamir.hpp"
#include "slots.hpp"

#if defined(FEDSECURE_CONSTTIME_CHECK)
#include <valgrind/memcheck.h>
#define MARK_SECRET(array) VALGRIND_MAKE_MEM_UNDEFINED(array, sizeof array)
#else
#define MARK_SECRET(array) (void)0
#endif

namespace {

using namespace fedsecure;

constexpr std::size_t kCount = 3001;
constexpr std::size_t kNumShares = 5;
constexpr std::size_t kThreshold = 3;

// Everything is static: the stack is what is under test.
std::uint8_t seeds[3 * kMaxSeedBytes];  // of the generator in use, one after the other
Prg prg = Prg::aes128;
std::uint8_t secrets[2][kSecretBytes];
std::uint8_t shares[2][kNumShares][kShareBytes];
double floats[kCount];
Half halves[kCount];
std::uint64_t integers[2];
alignas(8) std::uint32_t ring[kCount];
alignas(8) std::uint32_t other[kCount];
alignas(8) std::uint8_t bytes[8 * kCount];
const std::int8_t signs[3] = {1, -1, 1};
const std::uint32_t points[kNumShares] = {1, 2, 3, 4, 5};
const std::uint32_t point_rows[2][kNumShares] = {{1, 2, 3, 4, 5}, {1, 2, 3, 4, 5}};
std::uint8_t good[2];
constexpr std::size_t kKeyBytes = 256;
constexpr std::size_t kNumbers = 2;
std::uint8_t primes[2][kKeyBytes / 2];
std::uint8_t plaintexts[kNumbers][kKeyBytes];
std::uint8_t exponents[kNumbers][4];
std::uint8_t modulus[kKeyBytes];
std::uint8_t ciphertexts[kNumbers][2 * kKeyBytes];

void fill() {
  for (std::size_t i = 0; i < sizeof seeds; ++i) seeds[i] = static_cast<std::uint8_t>(i * 37 + 11);
  std::uint8_t next = 5;
  for (auto& secret : secrets)
    for (auto& byte : secret) byte = std::exchange(next, static_cast<std::uint8_t>(next + 91));
  for (std::size_t i = 0; i < kCount; ++i) {
    floats[i] = static_cast<double>(i) / 77.0 - 9.0;
    halves[i] = {static_cast<std::uint16_t>(i)};
    ring[i] = static_cast<std::uint32_t>(i * 2654435761u);
  }
}

// Primes of no pattern, found by adding to one.
void fill_prime(std::uint8_t* prime, std::size_t a, std::size_t b, unsigned offset) {
  for (std::size_t i = 2; i < kKeyBytes / 2; ++i)
    prime[i] = static_cast<std::uint8_t>(i * i * 7 + i * a + b);
  prime[kKeyBytes / 2 - 1] |= 0xC0;
  prime[0] = static_cast<std::uint8_t>(offset);
  prime[1] = static_cast<std::uint8_t>(offset >> 8);
}

void fill_key() {
  fill_prime(primes[0], 91, 5, 363);
  fill_prime(primes[1], 57, 9, 641);
  const span<const std::uint8_t> p(primes[0], sizeof primes[0]);
  const PaillierSecret key(p, {primes[1], p.size()});
  std::copy(key.n().begin(), key.n().end(), modulus);
  for (std::size_t i = 0; i < kKeyBytes / 2; ++i)
    for (std::size_t j = 0; j < kNumbers; ++j) {
      plaintexts[j][i] = static_cast<std::uint8_t>(i * i * 11 + i * 29 + j);
      ciphertexts[j][3 * i] = static_cast<std::uint8_t>(i * i * 3 + i * 71 + j);
    }
  for (std::size_t i = 0; i < sizeof exponents[0]; ++i)
    for (std::size_t j = 0; j < kNumbers; ++j)
      exponents[j][i] = static_cast<std::uint8_t>(i * 101 + j * 13 + 77);
}

void mark_secrets() {
  MARK_SECRET(primes);
  MARK_SECRET(plaintexts);
  MARK_SECRET(exponents);
  MARK_SECRET(seeds);
  MARK_SECRET(secrets);
  MARK_SECRET(floats);
  MARK_SECRET(halves);
  MARK_SECRET(integers);
  MARK_SECRET(ring);
}

Seeds some_seeds(std::size_t first, std::size_t count) {
  return {prg, seeds + first * seed_bytes(prg), count};
}

// Every decision in long integers.
void exact_noise(span<std::uint32_t> out) {
  const Law law{LawKind::gaussian, {400, 1}};
  const Noise noise{std::make_shared<const Sampler>(law, Decide::exactly), false};
  draw_noise(noise, some_seeds(0, 1), 5, out.subspan(0, 200), 1);
}

// The residue of exponents and plaintexts is what counts, so the public base is any number.
void run_paillier(const std::string& operation) {
  constexpr std::size_t kBits = 16;
  const Rows numbers(plaintexts[0], sizeof plaintexts);
  const Rows rows(ciphertexts[0], sizeof ciphertexts);
  const RowsOut out(bytes, sizeof ciphertexts);
  const span<const std::uint8_t> base(ciphertexts[0], sizeof ciphertexts[0]);
  const Randomness randomness{seeds, 3};
  if (operation == "decrypt" || operation == "own") {
    const auto key = std::make_shared<const PaillierSecret>(
        span<const std::uint8_t>(primes[0], sizeof primes[0]),
        span<const std::uint8_t>(primes[1], sizeof primes[1]));
    if (operation == "decrypt") return key->decrypt(rows, {bytes, sizeof plaintexts}, 1);
    const PaillierSecretBase powers(key, base, kBits, 1);
    return key->encrypt(numbers, &powers, randomness, out, 1);
  }
  if (operation == "slots") {
    const Slots slots{21, 90, {modulus, sizeof modulus}};
    const span<std::uint8_t> packed(bytes, sizeof plaintexts);
    pack_slots<std::uint32_t>({ring, 180}, slots, packed);
    unpack_slots<std::uint32_t>(packed, slots, {other, 180});
  }
  if (operation != "encrypt" && operation != "power") return;  // a key leaves public numbers behind
  const PaillierPublic key({modulus, sizeof modulus});
  if (operation == "encrypt") {
    const PaillierBase powers(key.modulus(), base, kBits, 1);
    key.encrypt(numbers, &powers, randomness, out, 1);
    key.encrypt(numbers, nullptr, randomness, out, 1);
  }
  if (operation == "power") {
    key.power(rows, {exponents[0], sizeof exponents[0]}, out, 1);
    key.power_each(rows, {exponents[0], sizeof exponents}, out, 1);
  }
}

void run(const std::string& operation) {
  const span<std::uint32_t> words(ring, kCount);
  const span<std::uint32_t> out(other, kCount);
  const span<const std::uint32_t> xs(points, kNumShares);
  const span<std::uint8_t> share_bytes(shares[0][0], sizeof shares);
  const span<std::uint8_t> secret_bytes(secrets[0], sizeof secrets);
  const span<std::uint8_t> packed(bytes, packed_size(kCount, 21));
  if (operation == "keystream") keystream(some_seeds(0, 1), 5, span<std::uint8_t>(bytes, 9001), 1);
  if (operation == "masks") apply_masks(words, some_seeds(0, 3), {signs, 3}, 3, 1);
  if (operation == "encode")
    encode<double, std::uint32_t>({floats, kCount}, {1000.0, 8.0, some_seeds(0, 1), 1, 1}, out);
  if (operation == "round")
    encode<double, std::uint32_t>({floats, kCount}, {1000.0, 8.0, some_seeds(0, 0), 0, 1}, out);
  if (operation == "pass") {
    const PassInput input{{span<const double>(floats, kCount), span<const Half>(halves, kCount)},
                          {integers[0], integers[1]}};
    const span<std::uint8_t> to(bytes, packed_size(input.size(), 21));
    encode_masked(input, {1000.0, 8.0, some_seeds(0, 1), 1, 1}, {some_seeds(1, 2), {signs, 2}}, 21,
                  to);
  }
  // Two laws: one that few, one that many of its decisions take out of the table.
  if (operation == "noise")
    for (const Noise& noise : {discrete_gaussian({1, 2}), skellam({40000000, 1})})
      draw_noise(noise, some_seeds(0, 1), 5, words, 1);
  if (operation == "exact noise") exact_noise(words);
  run_paillier(operation);
  if (operation == "inspect") inspect<double>({floats, kCount}, 8.0, 1);
  if (operation == "ring") {
    ring_add<std::uint32_t>(out, words, 1);
    pack<std::uint32_t>(words, 21, packed, 1);
    decode<std::uint32_t, double>(words, 21, 0.5, {floats, kCount}, 1);
  }
  if (operation == "shamir") {
    shamir_split(secret_bytes, kThreshold, xs, some_seeds(0, 1), share_bytes);
    shamir_combine(xs, share_bytes, secret_bytes, 1);
    shamir_combine_each({point_rows[0], 2 * kNumShares}, share_bytes, secret_bytes, {good, 2}, 1);
  }
}

// What of a tier needs no AES instructions; its tables are null where this processor cannot run it.
Kernels kernels_without_prg(const std::string& tier) {
  if (tier == "portable")
    return {"", nullptr, &kernels::kPackPortable, &kernels::kFixedPointPortable, nullptr, nullptr};
#if defined(FEDSECURE_X86_64) && defined(__GNUC__)
  if (tier == "avx2" && __builtin_cpu_supports("avx2"))
    return {"", nullptr, &kernels::kPackAvx2, &kernels::kFixedPointAvx2, nullptr, nullptr};
#endif
  return {"", nullptr, nullptr, nullptr, nullptr, nullptr};
}

template <typename Float>
void run_float(const kernels::FloatKernels<Float>& table, const Float* x, Float* back) {
  FloatReport report;
  table.inspect(x, kCount, 8.0, &report);
  const std::uint32_t* const none = nullptr;
  for (const std::uint32_t* random : {static_cast<const std::uint32_t*>(ring), none}) {
    for (const double factor : {1000.0, std::ldexp(1.0, 55)}) {
      table.encode_u16(x, kCount, factor, 8.0, random, reinterpret_cast<std::uint16_t*>(bytes),
                       &report);
      table.encode_u32(x, kCount, factor, 8.0, random, other, &report);
      table.encode_u64(x, kCount, factor, 8.0, random, reinterpret_cast<std::uint64_t*>(bytes),
                       &report);
    }
  }
  table.decode_u16(reinterpret_cast<const std::uint16_t*>(ring), kCount, 13, 0.5, back);
  table.decode_u32(ring, kCount, 21, 0.5, back);
  table.decode_u64(reinterpret_cast<const std::uint64_t*>(ring), kCount / 2, 41, 0.5, back);
}

template <typename Word>
void run_lane(const kernels::LaneKernels<Word>& table) {
  const auto* const x = reinterpret_cast<const Word*>(ring);
  auto* const out = reinterpret_cast<Word*>(other);
  const std::size_t count = sizeof ring / sizeof(Word);
  for (unsigned bits = 8; bits <= 8 * sizeof(Word); ++bits) {
    table.pack(x, count, bits, bytes);
    table.unpack(bytes, count, bits, out);
    table.unpack_add(bytes, count, bits, out);
  }
}

void run_kernels(const Kernels& tables) {
  auto* const small = reinterpret_cast<float*>(floats);
  run_float(tables.fixed_point->f32, small, reinterpret_cast<float*>(bytes));
  run_float(tables.fixed_point->f64, floats, reinterpret_cast<double*>(bytes));
  run_lane(tables.pack->u16);
  run_lane(tables.pack->u32);
  run_lane(tables.pack->u64);
}

#if defined(__clang__)
#define KEEP_APART __attribute__((noinline))
#else
#define KEEP_APART __attribute__((noinline, noclone, no_sanitize_address))
#endif

constexpr std::size_t kStackBytes = 96 * 1024;
constexpr std::size_t kRegisterBytes = 32 * 64;
std::uint8_t snapshot[kStackBytes + kRegisterBytes];

// The widest registers that the tier can have used, behind the copy of the stack.
#if defined(__x86_64__) && defined(__GNUC__)
#define SAVE(move, i) move #i ", 64*" #i "(%0)\n\t"
#define SAVE_8(move, a, b, c, d, e, f, g, h) \
  SAVE(move, a)                              \
  SAVE(move, b) SAVE(move, c) SAVE(move, d) SAVE(move, e) SAVE(move, f) SAVE(move, g) SAVE(move, h)
#define SAVE_16(move) \
  SAVE_8(move, 0, 1, 2, 3, 4, 5, 6, 7) SAVE_8(move, 8, 9, 10, 11, 12, 13, 14, 15)
#define SAVE_16_MORE(move) \
  SAVE_8(move, 16, 17, 18, 19, 20, 21, 22, 23) SAVE_8(move, 24, 25, 26, 27, 28, 29, 30, 31)
void save_registers(const std::string& tier) {
  std::uint8_t* const to = snapshot + kStackBytes;
  if (tier == "vaes512")
    __asm__ __volatile__(SAVE_16("vmovdqu64 %%zmm") SAVE_16_MORE("vmovdqu64 %%zmm")
                         :
                         : "r"(to)
                         : "memory");
  else if (tier == "vaes256" || tier == "avx2")
    __asm__ __volatile__(SAVE_16("vmovdqu %%ymm") : : "r"(to) : "memory");
  else
    __asm__ __volatile__(SAVE_16("movdqu %%xmm") : : "r"(to) : "memory");
}
#define CLEAR(i) "vpxorq %%zmm" #i ", %%zmm" #i ", %%zmm" #i "\n\t"
#define CLEAR_8(a, b, c, d, e, f, g, h) \
  CLEAR(a) CLEAR(b) CLEAR(c) CLEAR(d) CLEAR(e) CLEAR(f) CLEAR(g) CLEAR(h)
// The registers that only AVX-512 has keep what they held, for as long as nothing needs them: not
// what was there before counts, but what the operation puts there.
void clear_registers(const std::string& tier) {
  if (tier == "vaes512")
    __asm__ __volatile__(CLEAR_8(16, 17, 18, 19, 20, 21, 22, 23)
                             CLEAR_8(24, 25, 26, 27, 28, 29, 30, 31)::);
}
#else
void save_registers(const std::string&) {}
void clear_registers(const std::string&) {}
#endif

// The same frame for both: paints the stack that later calls will use, or copies it away.
KEEP_APART void stack(bool paint) {
  volatile std::uint8_t dead[kStackBytes];
  for (std::size_t i = 0; i < kStackBytes; ++i) {
    if (paint)
      dead[i] = 0xCC;
    else
      snapshot[i] = dead[i];
  }
}

// Counts the places of the snapshot that equal 8 bytes of `data` (at any multiple of 4).
int occurrences(const char* what, const void* data, std::size_t size) {
  int found = 0;
  const auto* const from = static_cast<const std::uint8_t*>(data);
  for (std::size_t i = 0; i + 8 <= size; i += 4)
    for (std::size_t j = 0; j + 8 <= sizeof snapshot; ++j)
      if (std::memcmp(from + i, snapshot + j, 8) == 0) {
        std::printf("%s, byte %zu, is at byte %zu of %zu of the stack, then registers\n", what, i,
                    j, kStackBytes);
        ++found;
      }
  return found;
}

// Words that look random although nothing on this stack, or in registers, should: bitsliced states
// and masked vectors have no fixed form. Paint, pointers (whose top 16 bits are zero) and text do
// not count.
int random_words() {
  int found = 0;
  for (std::size_t i = 0; i + 8 <= sizeof snapshot; i += 8) {
    const auto word = kernels::load<std::uint64_t>(snapshot + i);
    const bool text = (word & 0x8080808080808080u) == 0;
    int bits = 0;
    for (unsigned b = 0; b < 64; ++b) bits += static_cast<int>((word >> b) & 1);
    if (bits > 18 && bits < 46 && !text && word >> 48 != 0 && word != 0xCCCCCCCCCCCCCCCCu) ++found;
  }
  return found;
}

int residue(const std::string& tier, const std::string& operation) {
  stack(true);
  clear_registers(tier);
  run(operation);
  save_registers(tier);
  stack(false);
  const PrgKeys keys(active_kernels(), some_seeds(0, 3));
  const std::size_t key_bytes = prg == Prg::aes128 ? 11 * 16 : prg == Prg::aes256 ? 15 * 16 : 32;
  std::vector<std::uint8_t> stream(12000);
  int found = occurrences("secret", secrets, sizeof secrets);
  found += occurrences("prime", primes, sizeof primes);
  found += occurrences("plaintext", plaintexts[0], kKeyBytes / 2);
  for (std::size_t j = 0; j < keys.size(); ++j) {
    keys.keystream(j, 0, {stream.data(), stream.size()});
    found += occurrences("key", keys[j].key, key_bytes);
    found += occurrences("keystream", stream.data(), stream.size());
  }
  const int random = random_words();
  std::printf("%d known values, %d random-looking words\n", found, random);
  return found != 0 || random > 8 ? 1 : 0;  // some leave more than a hundred if nothing is wiped
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 4 && argc != 5) return 2;
  const std::string mode = argv[1];
  if (argc == 5) prg = static_cast<Prg>(std::atoi(argv[4]));
  fill();
  select_kernels("portable");  // the best ones may be emulated, and take long
  fill_key();
  if (mode == "control") {
    mark_secrets();
    bytes[secrets[0][0]] = 1;
    return 0;
  }
  if (mode == "kernels") {
    const Kernels tables = kernels_without_prg(argv[2]);
    if (tables.pack == nullptr) return 77;
    mark_secrets();
    run_kernels(tables);
    return 0;
  }
  const std::vector<std::string> tiers = available_kernels();
  if (std::find(tiers.begin(), tiers.end(), argv[2]) == tiers.end()) return 77;
  select_kernels(argv[2]);
  if (mode == "residue") return residue(argv[2], argv[3]);
  mark_secrets();
  run(argv[3]);
}
