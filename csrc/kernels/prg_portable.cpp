// The generator in plain C++, constant-time: no tables, no data-dependent branch.
//
// AES is bitsliced. 64 consecutive counter blocks of it are worked on together. The state is 128
// planes of 64 bits: plane (bit b, position p) holds bit b of byte p of all 64 blocks, one block
// per lane. Positions are row-major (p = 4 * row + column, while AES numbers bytes 4 * column +
// row), so ShiftRows and MixColumns work on runs of four neighboring planes, which compilers turn
// into vector code.

#include "aes_key.hpp"
#include "chacha_plain.hpp"
#include "kernels.hpp"

namespace fedsecure::kernels {
namespace {

using Plane = std::uint64_t;

constexpr std::size_t kLanes = 64;
constexpr std::size_t kBatchBytes = kLanes * kAesBlockBytes;

struct State {
  Plane planes[8][kAesBlockBytes];
};

// Round keys as planes: every lane sees the same key bit, hence all zeros or all ones.
template <std::size_t kRounds>
struct KeyPlanes {
  State round[kRounds + 1];
};

constexpr std::size_t position_of(std::size_t aes_byte) {
  return 4 * (aes_byte % 4) + aes_byte / 4;
}

// The AES S-box without its final XOR with 0x63, on 8 planes (x0: least significant bit), in 119
// gates. The inverse in GF(2^8) goes through GF(((2^2)^2)^2) in normal bases (after Canright, "A
// very compact S-box for AES", CHES 2005), with basis elements W = 0xbc, Z = 0x5c, Y = 0xfe found
// by searching all such towers for the shortest linear layers (greedy common pairs; products turned
// from AND to OR where that spares XORs). Known answers over all 256 inputs are in
// tests/core/test_prg.py.
inline void sub_byte(Plane& x0, Plane& x1, Plane& x2, Plane& x3, Plane& x4, Plane& x5, Plane& x6,
                     Plane& x7) {
  // Linear forms of both halves (change of basis into the tower).
  const Plane t0 = x1 ^ x3, t1 = x5 ^ x6, t2 = x4 ^ x7, t3 = x0 ^ t1, t4 = x2 ^ t0, t5 = t0 ^ t2;
  const Plane t6 = x2 ^ x7, t7 = x2 ^ t2, t8 = x1 ^ t3, t9 = x6 ^ t4, t10 = x1 ^ t7;
  const Plane t11 = t1 ^ t5, t12 = x2 ^ x4, t13 = x0 ^ t5, t14 = x5 ^ t7, t15 = x5 ^ t4;
  const Plane t16 = x0 ^ t9, t17 = t6 ^ t8, t18 = x4 ^ t3, t19 = x7 ^ t3, t20 = x1 ^ x7;
  // d = product of the halves + nu * (their sum)^2, in GF(2^4).
  const Plane p0 = t3 | t8, p1 = t16 | t19, p2 = t15 & t20, p3 = t13 | t17, p4 = x0 | t18;
  const Plane p5 = t5 | t10, p6 = t11 & t6, p7 = t9 & t2, p8 = t14 | t12, d0 = p5 ^ p7;
  const Plane d1 = p2 ^ p7, d2 = p0 ^ t4, d3 = p3 ^ d0, d4 = t4 ^ d3, d5 = p4 ^ p6, d6 = p8 ^ d4;
  const Plane d7 = p1 ^ d1, d8 = p6 ^ d7, d9 = d1 ^ d2, d10 = x1 ^ d0, d11 = p8 ^ d9;
  const Plane d12 = d5 ^ d10;
  // 1/d by the same step one floor down; g* also holds the sums that the last products need.
  const Plane e0 = d6 ^ d12, e1 = d11 ^ d8, e2 = e0 ^ e1, q0 = d11 | d6, q1 = d8 & d12;
  const Plane q2 = e1 & e0, f0 = q2 ^ e2, f1 = q1 ^ f0, f2 = q0 ^ q2, f3 = f1 ^ f2, r0 = f1 & d6;
  const Plane r1 = f2 & d12, r2 = f3 & e0, r3 = f1 & d11, r4 = f2 & d8, r5 = f3 & e1;
  const Plane g0 = r0 ^ r1, g1 = r3 ^ r4, g2 = r0 ^ r2, g3 = r3 ^ r5, g4 = r1 ^ r2, g5 = r4 ^ r5;
  const Plane g6 = g4 ^ g5, g7 = g0 ^ g1, g8 = g2 ^ g3;
  // Both halves of the inverse, then basis change and affine map in one.
  const Plane m0 = g2 & t3, m1 = g4 & t16, m2 = g0 & t15, m3 = g3 & t13, m4 = g5 & x0;
  const Plane m5 = g1 & t5, m6 = g8 & t11, m7 = g6 & t9, m8 = g7 & t14, m9 = g2 & t8;
  const Plane m10 = g4 & t19, m11 = g0 & t20, m12 = g3 & t17, m13 = g5 & t18, m14 = g1 & t10;
  const Plane m15 = g8 & t6, m16 = g6 & t2, m17 = g7 & t12, y0 = m16 ^ m17, y1 = m12 ^ y0;
  const Plane y2 = m0 ^ y1, y3 = m3 ^ m14, y4 = m5 ^ m11, y5 = m4 ^ y4, y6 = m2 ^ y2;
  const Plane y7 = m1 ^ y0, y8 = m9 ^ y7, y9 = m8 ^ y6, y10 = m10 ^ y5, y11 = m6 ^ y10;
  const Plane y12 = m5 ^ y3, y13 = m8 ^ y12, y14 = m14 ^ y9, y15 = m7 ^ m15, y16 = m6 ^ m11;
  const Plane y17 = y1 ^ y13, y18 = m0 ^ y16, y19 = m8 ^ y8, y20 = m1 ^ y2, y21 = y9 ^ y11;
  const Plane y22 = m2 ^ y5, y23 = m7 ^ y17, y24 = m4 ^ y20, y25 = y6 ^ y12, y26 = y3 ^ y24;
  const Plane y27 = y18 ^ y19, y28 = m16 ^ y11, y29 = y15 ^ y28, y30 = m7 ^ y14, y31 = m13 ^ y21;
  const Plane y32 = y8 ^ y22;
  x0 = y32;
  x1 = y27;
  x2 = y31;
  x3 = y26;
  x4 = y25;
  x5 = y29;
  x6 = y23;
  x7 = y30;
}

void sub_bytes(State& s) {
  for (std::size_t p = 0; p < kAesBlockBytes; ++p) {
    sub_byte(s.planes[0][p], s.planes[1][p], s.planes[2][p], s.planes[3][p], s.planes[4][p],
             s.planes[5][p], s.planes[6][p], s.planes[7][p]);
  }
}

// Row r moves left by r columns.
void shift_rows(State& s) {
  for (auto& bit : s.planes) {
    for (std::size_t row = 1; row < 4; ++row) {
      Plane* const r = bit + 4 * row;
      const Plane old[4] = {r[0], r[1], r[2], r[3]};
      for (std::size_t column = 0; column < 4; ++column) r[column] = old[(column + row) % 4];
    }
  }
}

// out[r] = 2 * (a[r] + a[r+1]) + a[r+1] + a[r+2] + a[r+3], rows mod 4; then adds the round key.
void mix_columns_add_key(State& s, const State& key) {
  State doubled;  // a[r] + a[r+1], before doubling
  for (std::size_t b = 0; b < 8; ++b) {
    Plane next[kAesBlockBytes];
    for (std::size_t p = 0; p < kAesBlockBytes; ++p)
      next[p] = s.planes[b][(p + 4) % kAesBlockBytes];
    for (std::size_t p = 0; p < kAesBlockBytes; ++p)
      doubled.planes[b][p] = s.planes[b][p] ^ next[p];
    for (std::size_t p = 0; p < kAesBlockBytes; ++p)
      s.planes[b][p] = next[p] ^ doubled.planes[b][(p + 8) % kAesBlockBytes] ^ key.planes[b][p];
  }
  // Doubling in GF(2^8): shift up, and x^8 = x^4 + x^3 + x + 1.
  const auto& high = doubled.planes[7];
  for (std::size_t p = 0; p < kAesBlockBytes; ++p) s.planes[0][p] ^= high[p];
  for (std::size_t b = 1; b < 8; ++b) {
    const bool reduces = b == 1 || b == 3 || b == 4;
    for (std::size_t p = 0; p < kAesBlockBytes; ++p)
      s.planes[b][p] ^= doubled.planes[b - 1][p] ^ (reduces ? high[p] : Plane{0});
  }
}

void add_key(State& s, const State& key) {
  for (std::size_t b = 0; b < 8; ++b)
    for (std::size_t p = 0; p < kAesBlockBytes; ++p) s.planes[b][p] ^= key.planes[b][p];
}

// A byte that is equal in all lanes, at one position.
inline void broadcast(State& s, std::size_t position, std::uint8_t value) {
  for (std::size_t b = 0; b < 8; ++b)
    s.planes[b][position] = Plane{0} - static_cast<Plane>((value >> b) & 1);
}

// The S-box circuit leaves out + 0x63. ShiftRows and MixColumns map the state with 0x63 everywhere
// to itself (2 + 3 + 1 + 1 = 1), so the constant is added with the next round key instead.
template <std::size_t kRounds>
void slice_key(const PrgKey& key, KeyPlanes<kRounds>& out) {
  for (std::size_t r = 0; r <= kRounds; ++r)
    for (std::size_t i = 0; i < kAesBlockBytes; ++i)
      broadcast(
          out.round[r], position_of(i),
          static_cast<std::uint8_t>(key.key[r * kAesBlockBytes + i] ^ (r == 0 ? 0x00 : 0x63)));
}

// Counter blocks first_block .. first_block + 63; first_block is a multiple of 64, so the low six
// counter bits are the lane number and all others are the same in every lane.
void load_counters(const PrgKey& key, std::uint64_t first_block, State& s) {
  constexpr Plane kLaneBit[6] = {0xAAAAAAAAAAAAAAAAu, 0xCCCCCCCCCCCCCCCCu, 0xF0F0F0F0F0F0F0F0u,
                                 0xFF00FF00FF00FF00u, 0xFFFF0000FFFF0000u, 0xFFFFFFFF00000000u};
  for (std::size_t i = 0; i < 8; ++i) {
    broadcast(s, position_of(i), key.nonce[i]);
    broadcast(s, position_of(8 + i), static_cast<std::uint8_t>(first_block >> (56 - 8 * i)));
  }
  for (std::size_t b = 0; b < 6; ++b) s.planes[b][position_of(15)] = kLaneBit[b];
}

// Bit i of word j becomes bit j of word i.
void transpose(std::uint64_t (&m)[64]) {
  std::uint64_t mask = 0x00000000FFFFFFFFu;
  for (unsigned width = 32; width != 0; width >>= 1, mask ^= mask << width) {
    for (std::size_t top = 0; top < 64; top += 2 * width) {
      for (std::size_t i = top; i < top + width; ++i) {
        const std::uint64_t swapped = ((m[i] >> width) ^ m[i + width]) & mask;
        m[i] ^= swapped << width;
        m[i + width] ^= swapped;
      }
    }
  }
}

// Planes back to 64 blocks of bytes.
void store_blocks(const State& s, std::uint8_t (&out)[kBatchBytes]) {
  std::uint64_t half[64];
  for (std::size_t h = 0; h < 2; ++h) {
    for (std::size_t byte = 0; byte < 8; ++byte)
      for (std::size_t b = 0; b < 8; ++b)
        half[8 * byte + b] = s.planes[b][position_of(8 * h + byte)];
    transpose(half);
    for (std::size_t lane = 0; lane < kLanes; ++lane)
      store(out + lane * kAesBlockBytes + 8 * h, half[lane]);
  }
  wipe(half, sizeof half);
}

template <std::size_t kRounds>
void encrypt_batch(const PrgKey& key, const KeyPlanes<kRounds>& planes, std::uint64_t first_block,
                   std::uint8_t (&out)[kBatchBytes]) {
  State s;
  load_counters(key, first_block, s);
  add_key(s, planes.round[0]);
  for (std::size_t r = 1; r < kRounds; ++r) {
    sub_bytes(s);
    shift_rows(s);
    mix_columns_add_key(s, planes.round[r]);
  }
  sub_bytes(s);
  shift_rows(s);
  add_key(s, planes.round[kRounds]);
  store_blocks(s, out);
  wipe(&s, sizeof s);
}

// SubWord of FIPS 197, with the same circuit: byte i of the word is lane i.
std::uint32_t sub_word(std::uint32_t word) {
  Plane x[8] = {};
  for (std::size_t b = 0; b < 8; ++b)
    for (std::size_t i = 0; i < 4; ++i) x[b] |= static_cast<Plane>((word >> (8 * i + b)) & 1) << i;
  sub_byte(x[0], x[1], x[2], x[3], x[4], x[5], x[6], x[7]);
  std::uint32_t out = 0x63636363;
  for (std::size_t b = 0; b < 8; ++b)
    for (std::size_t i = 0; i < 4; ++i)
      out ^= static_cast<std::uint32_t>((x[b] >> i) & 1) << (8 * i + b);
  wipe(x, sizeof x);
  return out;
}

template <std::size_t kRounds>
struct BitslicedAes {
  static constexpr std::size_t kBytes = kBatchBytes;  // at once

  explicit BitslicedAes(const PrgKey& key) : key_(key) { slice_key(key, planes_); }
  ~BitslicedAes() { wipe(&planes_, sizeof planes_); }

  static void expand_key(const std::uint8_t* seed, PrgKey* key) {
    expand_aes_key<kRounds>(seed, key, sub_word);
  }

  // Blocks first_block .. first_block + kBytes / kBlockBytes - 1; the first one's number is a
  // multiple of their count.
  void make(std::uint64_t first_block, std::uint8_t (&out)[kBytes]) const {
    encrypt_batch(key_, planes_, first_block * (kBlockBytes / kAesBlockBytes), out);
  }

 private:
  const PrgKey& key_;
  KeyPlanes<kRounds> planes_;
};

// Calls use(bytes, offset, size) for the keystream of `num_bytes` bytes from first_block on, batch
// by batch; `offset` counts from the start of the request.
template <typename C, typename Use>
inline void for_each_batch(const PrgKey& key, std::uint64_t first_block, std::size_t num_bytes,
                           Use use) {
  constexpr std::size_t kBatch = C::kBytes / kBlockBytes;
  const C cipher(key);
  alignas(64) std::uint8_t batch[C::kBytes];
  std::size_t skip = static_cast<std::size_t>(first_block % kBatch) * kBlockBytes;
  std::uint64_t block = first_block - first_block % kBatch;
  for (std::size_t done = 0; done < num_bytes; block += kBatch, skip = 0) {
    cipher.make(block, batch);
    const std::size_t left = num_bytes - done;
    const std::size_t size = left < C::kBytes - skip ? left : C::kBytes - skip;
    use(batch + skip, done, size);
    done += size;
  }
  wipe(batch, sizeof batch);
}

template <typename C>
void keystream(const PrgKey& key, std::uint64_t first_block, std::size_t num_blocks,
               std::uint8_t* out) {
  for_each_batch<C>(key, first_block, num_blocks * kBlockBytes,
                    [out](const std::uint8_t* bytes, std::size_t offset, std::size_t size) {
                      std::memcpy(out + offset, bytes, size);
                    });
}

// Keys in the outer loop: here the cipher dwarfs the memory traffic, and each key is sliced once.
template <typename C, typename Word>
void add_masks(Word* acc, std::size_t count, const PrgKey* keys, const std::int8_t* signs,
               std::size_t num_keys, std::uint64_t first_block) {
  for (std::size_t j = 0; j < num_keys; ++j) {
    const Word flip = signs[j] < 0 ? static_cast<Word>(~Word{0}) : Word{0};
    const auto add = [acc, flip](const std::uint8_t* bytes, std::size_t offset, std::size_t size) {
      Word* const to = acc + offset / sizeof(Word);
      // -m = ~m + 1, so one loop serves both signs.
      for (std::size_t i = 0; i < size / sizeof(Word); ++i)
        to[i] = static_cast<Word>(
            to[i] + static_cast<Word>(load<Word>(bytes + i * sizeof(Word)) ^ flip) - flip);
    };
    for_each_batch<C>(keys[j], first_block, count * sizeof(Word), add);
  }
}

template <typename C>
constexpr CipherKernels cipher() {
  return {C::expand_key, keystream<C>, add_masks<C, std::uint16_t>, add_masks<C, std::uint32_t>,
          add_masks<C, std::uint64_t>};
}

}  // namespace

const PrgKernels kPrgPortable = {cipher<BitslicedAes<10>>(), cipher<BitslicedAes<14>>(),
                                 cipher<PlainChaCha>()};

}  // namespace fedsecure::kernels
