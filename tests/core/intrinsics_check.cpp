// Prints what intrinsics of AVX-512 give for some operands: those of tests/emulated/immintrin.h, or
// the processor's own, as this file is compiled. test_intrinsics.py says what they should give.
//
// Lines with the operands a, b, c and k come before all results for them: names and values, as
// bytes in hexadecimal.

#include <immintrin.h>

#include <cstdint>
#include <cstdio>
#include <cstring>
#include <utility>

namespace {

constexpr int kRounds = 200;
constexpr int kRoundsWithTables = 6;

std::uint64_t next_random() {  // splitmix64
  static std::uint64_t state = 512;
  std::uint64_t z = (state += 0x9E3779B97F4A7C15);
  z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9;
  z = (z ^ (z >> 27)) * 0x94D049BB133111EB;
  return z ^ (z >> 31);
}

std::uint64_t bits_of(double x) {
  std::uint64_t bits;
  std::memcpy(&bits, &x, sizeof bits);
  return bits;
}

// Any bits, numbers at which something turns, counts of shifts, and doubles that are not far from
// integers.
std::uint64_t element() {
  const std::uint64_t edges[] = {0,
                                 1,
                                 ~std::uint64_t{0},
                                 std::uint64_t{1} << 63,
                                 (std::uint64_t{1} << 63) - 1,
                                 (std::uint64_t{1} << 52) - 1,
                                 std::uint64_t{1} << 52,
                                 0x80000000FFFFFFFF,
                                 0x7FFFFFFF80000000,
                                 bits_of(9223372036854775808.0),
                                 bits_of(-9223372036854775808.0),
                                 bits_of(9223372036854774784.0),
                                 bits_of(4611686018427387904.0),
                                 bits_of(-0.5),
                                 bits_of(1e300),
                                 bits_of(3.4028235677973366e38),
                                 bits_of(1e-45),
                                 std::uint64_t{0x7FF} << 52,
                                 std::uint64_t{0xFFF} << 52,
                                 (std::uint64_t{0x7FF} << 52) + 1};
  const std::uint64_t any = next_random();
  switch (next_random() % 5) {
    case 0:
      return edges[any % (sizeof edges / sizeof *edges)];
    case 1:
      return any % 130;
    case 2:
      return bits_of(static_cast<double>(static_cast<std::int32_t>(any)) / 4.0);
    default:
      return any;
  }
}

template <typename Register>
Register some() {
  std::uint64_t elements[sizeof(Register) / 8];
  for (std::uint64_t& x : elements) x = element();
  Register value;
  std::memcpy(&value, elements, sizeof value);
  return value;
}

void print(const char* name, const void* data, std::size_t size) {
  const auto* const bytes = static_cast<const unsigned char*>(data);
  std::printf("%s ", name);
  for (std::size_t i = 0; i < size; ++i) std::printf("%02x", static_cast<unsigned>(bytes[i]));
  std::printf("\n");
}

template <typename T>
void show(const char* name, T value) {
  print(name, &value, sizeof value);
}

// Which NaN it is depends on which of two the compiler takes for the first operand.
template <typename Float, typename T>
void show_floats(const char* name, T value) {
  Float x[sizeof value / sizeof(Float)];
  std::memcpy(x, &value, sizeof value);
  for (Float& each : x)
    if (each != each) std::memset(&each, 0xFF, sizeof each);
  print(name, x, sizeof x);
}

template <typename T>
T first_of(__m512i a) {
  T value;
  std::memcpy(&value, &a, sizeof value);
  return value;
}

#define ONE(name) show(#name, _mm512_##name(a))
#define TWO(name) show(#name, _mm512_##name(a, b))
#define IMMEDIATE(name, n) show(#name " " #n, _mm512_##name(a, n))
#define PARTS(n)                                            \
  show("shuffle_i32x4 " #n, _mm512_shuffle_i32x4(a, b, n)); \
  show("shuffle_i64x2 " #n, _mm512_shuffle_i64x2(a, b, n))

void integers(__m512i a, __m512i b, __m512i c, std::uint64_t k) {
  const auto k8 = static_cast<__mmask8>(k);
  const auto k16 = static_cast<__mmask16>(k);
  TWO(add_epi16), TWO(add_epi32), TWO(add_epi64), TWO(sub_epi16), TWO(sub_epi32), TWO(sub_epi64);
  TWO(and_si512), TWO(or_si512), TWO(xor_si512);
  TWO(cmpgt_epi32_mask), TWO(cmpgt_epi64_mask), TWO(cmplt_epi64_mask), TWO(cmpeq_epi64_mask);
  TWO(test_epi64_mask);
  show("test_epi64_mask itself", _mm512_test_epi64_mask(a, a));
  show("cmpeq_epi64_mask itself", _mm512_cmpeq_epi64_mask(a, a));
  show("mask_sub_epi32", _mm512_mask_sub_epi32(c, k16, a, b));
  show("mask_sub_epi64", _mm512_mask_sub_epi64(c, k8, a, b));
  show("mask_max_epi32", _mm512_mask_max_epi32(c, k16, a, b));
  show("mask_max_epi64", _mm512_mask_max_epi64(c, k8, a, b));
  show("mask_blend_epi64", _mm512_mask_blend_epi64(k8, a, b));
  show("madd52lo_epu64", _mm512_madd52lo_epu64(a, b, c));
  show("madd52hi_epu64", _mm512_madd52hi_epu64(a, b, c));
  ONE(reduce_max_epi32), ONE(reduce_max_epi64);
  ONE(movepi32_mask), ONE(movepi64_mask);
  show("movm_epi64", _mm512_movm_epi64(k8));
  show("knot", _mm512_knot(k16));
  show("kunpackb", _mm512_kunpackb(k16, static_cast<__mmask16>(k >> 16)));
}

void shifts(__m512i a, __m512i b) {
  const __m128i count = _mm512_castsi512_si128(b);
  show("sll_epi32", _mm512_sll_epi32(a, count));
  show("sll_epi64", _mm512_sll_epi64(a, count));
  show("sra_epi64", _mm512_sra_epi64(a, count));
  TWO(sllv_epi64), TWO(srlv_epi64);
  IMMEDIATE(slli_epi64, 0), IMMEDIATE(slli_epi64, 52), IMMEDIATE(slli_epi64, 64);
  IMMEDIATE(srli_epi64, 0), IMMEDIATE(srli_epi64, 32), IMMEDIATE(srli_epi64, 64);
  IMMEDIATE(srli_epi32, 0), IMMEDIATE(srli_epi32, 16), IMMEDIATE(srli_epi32, 32);
  IMMEDIATE(srai_epi64, 0), IMMEDIATE(srai_epi64, 52), IMMEDIATE(srai_epi64, 64);
  IMMEDIATE(srai_epi64, 255), IMMEDIATE(srli_epi64, 255), IMMEDIATE(slli_epi64, 255);
  IMMEDIATE(rol_epi32, 0), IMMEDIATE(rol_epi32, 7), IMMEDIATE(rol_epi32, 16);
  IMMEDIATE(rol_epi32, 31), IMMEDIATE(rol_epi32, 32);
  IMMEDIATE(bsrli_epi128, 0), IMMEDIATE(bsrli_epi128, 8), IMMEDIATE(bsrli_epi128, 15);
  IMMEDIATE(bsrli_epi128, 16), IMMEDIATE(bsrli_epi128, 255);
}

void places(__m512i a, __m512i b, __m512i c, std::uint64_t k) {
  TWO(shuffle_epi8), TWO(unpacklo_epi32), TWO(unpackhi_epi32);
  TWO(unpacklo_epi64), TWO(unpackhi_epi64);
  TWO(multishift_epi64_epi8), TWO(permutexvar_epi8);
  show("maskz_permutexvar_epi8", _mm512_maskz_permutexvar_epi8(k, a, b));
  show("permutex2var_epi32", _mm512_permutex2var_epi32(a, b, c));
  show("permutex2var_epi64", _mm512_permutex2var_epi64(a, b, c));
  PARTS(0x44), PARTS(0xEE), PARTS(0x88), PARTS(0xDD), PARTS(0x1B), PARTS(0x72);
  TWO(aesenc_epi128), TWO(aesenclast_epi128);
  ONE(cvtepi64_epi32), ONE(cvtepi32_epi16), ONE(castsi512_si128);
  show("cvtepu32_epi64", _mm512_cvtepu32_epi64(first_of<__m256i>(a)));
  show("broadcast_i32x4", _mm512_broadcast_i32x4(_mm512_castsi512_si128(a)));
}

void doubles(__m512i bits_a, __m512i bits_b, __m512i bits_c, std::uint64_t k) {
  const __m512d a = _mm512_castsi512_pd(bits_a);
  const __m512d b = _mm512_castsi512_pd(bits_b);
  const auto k8 = static_cast<__mmask8>(k);
  show_floats<double>("add_pd", _mm512_add_pd(a, b));
  show_floats<double>("sub_pd", _mm512_sub_pd(a, b));
  show_floats<double>("mul_pd", _mm512_mul_pd(a, b));
  show_floats<double>("mask_add_pd", _mm512_mask_add_pd(_mm512_castsi512_pd(bits_c), k8, a, b));
  show("maskz_mov_pd", _mm512_castpd_si512(_mm512_maskz_mov_pd(k8, a)));
  show_floats<float>("cvtpd_ps", _mm512_cvtpd_ps(a));
  show_floats<double>("cvtps_pd", _mm512_cvtps_pd(first_of<__m256>(bits_a)));
  show("cvtepi32_pd", _mm512_cvtepi32_pd(first_of<__m256i>(bits_a)));
  show("cvtepi64_pd", _mm512_cvtepi64_pd(bits_a));
  ONE(cvttpd_epi64);
  show("cvt_roundpd_epi64 nearest", _mm512_cvt_roundpd_epi64(a, 0 | _MM_FROUND_NO_EXC));
  show("cvt_roundpd_epi64 down", _mm512_cvt_roundpd_epi64(a, 1 | _MM_FROUND_NO_EXC));
  show("cvt_roundpd_epi64 up", _mm512_cvt_roundpd_epi64(a, 2 | _MM_FROUND_NO_EXC));
  show("cvt_roundpd_epi64 zero", _mm512_cvt_roundpd_epi64(a, 3 | _MM_FROUND_NO_EXC));
}

void memory(__m512i a, __m512i b, std::uint64_t k) {
  alignas(64) unsigned char bytes[128];
  _mm512_storeu_si512(bytes + 1, a);
  show("storeu_si512", _mm512_loadu_si512(bytes + 1));
  show("maskz_loadu_epi8", _mm512_maskz_loadu_epi8(k, bytes + 1));
  _mm512_storeu_pd(bytes, _mm512_loadu_pd(bytes + 1));
  show("storeu_pd", _mm512_load_si512(bytes));
  _mm512_mask_storeu_epi8(bytes, k, b);
  show("mask_storeu_epi8", _mm512_load_si512(bytes));
}

void constants(__m512i a) {
  long long x[8];
  int y[16];
  std::memcpy(x, &a, sizeof x);
  std::memcpy(y, &a, sizeof y);
  show("setzero_si512", _mm512_setzero_si512());
  show("set1_epi8", _mm512_set1_epi8(first_of<char>(a)));
  show("set1_epi16", _mm512_set1_epi16(first_of<short>(a)));
  show("set1_epi32", _mm512_set1_epi32(y[0]));
  show("set1_epi64", _mm512_set1_epi64(x[0]));
  show("set1_pd", _mm512_set1_pd(first_of<double>(a)));
  show("set_epi64", _mm512_set_epi64(x[7], x[6], x[5], x[4], x[3], x[2], x[1], x[0]));
  show("setr_epi64", _mm512_setr_epi64(x[0], x[1], x[2], x[3], x[4], x[5], x[6], x[7]));
  show("set_epi32", _mm512_set_epi32(y[15], y[14], y[13], y[12], y[11], y[10], y[9], y[8], y[7],
                                     y[6], y[5], y[4], y[3], y[2], y[1], y[0]));
}

template <int kTable>
void table(__m512i a, __m512i b, __m512i c, __mmask8 k) {
  char name[40];
  std::snprintf(name, sizeof name, "ternarylogic_epi64 %d", kTable);
  show(name, _mm512_ternarylogic_epi64(a, b, c, kTable));
  std::snprintf(name, sizeof name, "mask_ternarylogic_epi64 %d", kTable);
  show(name, _mm512_mask_ternarylogic_epi64(a, k, b, c, kTable));
}

template <int... kTables>
void tables(__m512i a, __m512i b, __m512i c, __mmask8 k, std::integer_sequence<int, kTables...>) {
  (table<kTables>(a, b, c, k), ...);
}

}  // namespace

int main() {
  for (int round = 0; round < kRounds; ++round) {
    const auto a = some<__m512i>();
    const auto b = some<__m512i>();
    const auto c = some<__m512i>();
    const std::uint64_t k = next_random();
    show("a", a), show("b", b), show("c", c), show("k", k);
    integers(a, b, c, k);
    shifts(a, b);
    places(a, b, c, k);
    doubles(a, b, c, k);
    memory(a, b, k);
    constants(a);
    if (round < kRoundsWithTables)
      tables(a, b, c, static_cast<__mmask8>(k), std::make_integer_sequence<int, 256>{});
  }
}
