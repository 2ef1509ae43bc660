// Compares the fixed-point kernels of one kernel set with the portable ones: every count from 0 to
// 130, ordinary numbers, edges and arbitrary bit patterns, all lanes, both ways to round, factors
// on either side of every border at which a kernel takes another way.
//
// Usage: fixed_point_check TIER

#include <cmath>
#include <cstdio>
#include <cstring>
#include <limits>
#include <vector>

#include "dispatch.hpp"

namespace {

using namespace fedsecure;
using kernels::FixedPointKernels;
using kernels::FloatReport;

constexpr std::size_t kMaxCount = 130;
constexpr std::size_t kGuard = 40;  // elements behind the last, which nobody may touch
int differences = 0;

std::uint64_t next_random() {  // splitmix64
  static std::uint64_t state = 2024;
  std::uint64_t z = (state += 0x9E3779B97F4A7C15);
  z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9;
  z = (z ^ (z >> 27)) * 0x94D049BB133111EB;
  return z ^ (z >> 31);
}

template <typename Float>
Float any_bits() {
  const std::uint64_t bits = next_random();
  return kernels::load<Float>(&bits);
}

// A number near k / 2 or k / 2^32 steps, where roundings turn.
double near_turn(double factor) {
  const auto small = static_cast<std::int64_t>(next_random() % 9) - 4;
  const double parts = next_random() % 2 == 0 ? 2.0 : 4294967296.0;
  const std::int64_t many = next_random() % 2 == 0 ? 0 : static_cast<std::int32_t>(next_random());
  const double t = static_cast<double>(many + small) / parts;
  const double wanted = t / factor;
  const double to = next_random() % 2 == 0 ? 1e300 : -1e300;
  return next_random() % 3 == 0 ? std::nextafter(wanted, to) : wanted;
}

template <typename Float>
Float edge(double factor, double clip) {
  using Limits = std::numeric_limits<Float>;
  const Float values[] = {0,
                          Limits::denorm_min(),
                          Limits::min(),
                          Limits::max(),
                          Limits::infinity(),
                          Limits::quiet_NaN(),
                          Limits::signaling_NaN(),
                          static_cast<Float>(clip),
                          std::nextafter(static_cast<Float>(clip), Float{0}),
                          std::nextafter(static_cast<Float>(clip), Limits::infinity()),
                          static_cast<Float>(0.5 / factor),
                          static_cast<Float>(1e-20 / factor),
                          static_cast<Float>(std::ldexp(1.0, -54) / factor),
                          static_cast<Float>(4611686018427387904.0 / factor),
                          static_cast<Float>(2251799813685248.0 / factor),
                          static_cast<Float>(1073741824.0 / factor)};
  const Float value = values[next_random() % (sizeof values / sizeof *values)];
  return next_random() % 2 == 0 ? value : -value;
}

template <typename Float>
std::vector<Float> numbers(double factor, double clip) {
  std::vector<Float> x(kMaxCount + kGuard);
  const std::uint64_t kind = next_random() % 4;
  for (Float& value : x) {
    const std::uint64_t which = kind == 3 ? next_random() % 3 : kind;
    if (which == 0) value = any_bits<Float>();
    if (which == 1) value = static_cast<Float>(near_turn(factor));
    if (which == 2) value = edge<Float>(factor, clip);
    if (next_random() % 4 == 0)
      value = static_cast<Float>(1.5 * clip * static_cast<double>(next_random()) * 0x1p-64);
  }
  return x;
}

std::vector<std::uint32_t> random_words() {
  std::vector<std::uint32_t> words(kMaxCount + kGuard);
  const std::uint32_t special[] = {0, 1, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFE, 0xFFFFFFFF};
  for (std::uint32_t& word : words)
    word = next_random() % 2 == 0 ? special[next_random() % 6]
                                  : static_cast<std::uint32_t>(next_random());
  return words;
}

FloatReport some_report() {
  FloatReport report;
  report.outside = 3;
  report.nonfinite = 5;
  report.too_large = 7;
  report.max_abs = next_random() % 2 == 0 ? 0.0 : 2.5;
  return report;
}

template <typename T>
bool same(const std::vector<T>& a, const std::vector<T>& b) {
  return std::memcmp(a.data(), b.data(), a.size() * sizeof(T)) == 0;
}

bool same(const FloatReport& a, const FloatReport& b) {
  return a.outside == b.outside && a.nonfinite == b.nonfinite && a.too_large == b.too_large &&
         std::memcmp(&a.max_abs, &b.max_abs, sizeof a.max_abs) == 0;
}

void compare(bool equal, const char* what, std::size_t lane, std::size_t count, double factor,
             double clip) {
  if (equal) return;
  if (++differences <= 20)
    std::printf("%s, %zu-byte lanes, %zu elements, factor %a, clip %a\n", what, lane, count, factor,
                clip);
}

// `at`: where in the buffers the elements begin, so that vectors are not aligned.
template <typename Float, typename Word>
void check_encode(const FixedPointKernels& mine, const FixedPointKernels& specification,
                  std::size_t count, std::size_t at, double factor, double clip) {
  const std::vector<Float> x = numbers<Float>(factor, clip);
  const std::vector<std::uint32_t> words = random_words();
  for (const std::uint32_t* random :
       {words.data() + at, static_cast<const std::uint32_t*>(nullptr)}) {
    std::vector<Word> out(kMaxCount + kGuard, static_cast<Word>(0x5A5A));
    std::vector<Word> wanted = out;
    FloatReport report = some_report();
    FloatReport wanted_report = report;
    encode_kernel<Float, Word>(mine)(x.data() + at, count, factor, clip, random, out.data() + at,
                                     &report);
    encode_kernel<Float, Word>(specification)(x.data() + at, count, factor, clip, random,
                                              wanted.data() + at, &wanted_report);
    const char* const what = random == nullptr ? "encode nearest" : "encode stochastic";
    compare(same(out, wanted) && same(report, wanted_report), what, sizeof(Word), count, factor,
            clip);
  }
}

template <typename Float>
void check_inspect(const FixedPointKernels& mine, const FixedPointKernels& specification,
                   std::size_t count, std::size_t at, double clip) {
  const std::vector<Float> x = numbers<Float>(1.0, std::isfinite(clip) ? clip : 1e30);
  FloatReport report = some_report();
  FloatReport wanted = report;
  float_kernels<Float>(mine).inspect(x.data() + at, count, clip, &report);
  float_kernels<Float>(specification).inspect(x.data() + at, count, clip, &wanted);
  compare(same(report, wanted), "inspect", sizeof(Float), count, 0.0, clip);
}

template <typename Float, typename Word>
void check_decode(const FixedPointKernels& mine, const FixedPointKernels& specification,
                  std::size_t count, std::size_t at, double factor) {
  std::vector<Word> x(kMaxCount + kGuard);
  for (unsigned bits = 8; bits <= 8 * sizeof(Word); ++bits) {
    const std::uint64_t centre = std::uint64_t{1} << (bits - 1);
    for (Word& word : x)
      word = static_cast<Word>(next_random() % 2 == 0 ? next_random()
                                                      : centre + next_random() % 5 - 2);
    std::vector<Float> out(kMaxCount + kGuard, Float{77});
    std::vector<Float> wanted = out;
    decode_kernel<Word, Float>(mine)(x.data() + at, count, bits, factor, out.data() + at);
    decode_kernel<Word, Float>(specification)(x.data() + at, count, bits, factor,
                                              wanted.data() + at);
    compare(same(out, wanted), "decode", sizeof(Word), count, factor, bits);
  }
}

template <typename Float, typename Word>
void check_lane(const FixedPointKernels& mine, const FixedPointKernels& specification,
                std::size_t count) {
  const std::size_t at = next_random() % 8;
  const double clips[] = {8.0, 0.1, 1.0 / 3.0, 1e-40, 1e30};
  for (const double clip : clips) {
    const double borders[] = {1073741824.0, 2251799813685248.0, 4611686018427387904.0};
    for (const double border : borders) {
      const double factor = border / clip;
      for (const double f : {factor, std::nextafter(factor, 0.0), factor * 0.7, factor * 3.3})
        check_encode<Float, Word>(mine, specification, count, at, f, clip);
    }
    for (const double t : {1e-9, 1.0, 3.0, 1048576.0, 12345678.9, 1e11, 1e25})
      check_encode<Float, Word>(mine, specification, count, at, t / clip, clip);
  }
  check_encode<Float, Word>(mine, specification, count, at, 1e300, 4e-283);
  check_encode<Float, Word>(mine, specification, count, at, 1e300, 1e-299);
  check_encode<Float, Word>(mine, specification, count, at, 1.7e308, 1e-308);
  for (const double factor : {1.0, std::ldexp(1.0, -20), -1.0 / 3.0, 1e300, 0.0})
    check_decode<Float, Word>(mine, specification, count, at, factor);
}

template <typename Float>
void check_float(const FixedPointKernels& mine, const FixedPointKernels& specification,
                 std::size_t count) {
  check_lane<Float, std::uint16_t>(mine, specification, count);
  check_lane<Float, std::uint32_t>(mine, specification, count);
  check_lane<Float, std::uint64_t>(mine, specification, count);
  const double clips[] = {
      0.0, 1e-300, 1e-45, 1e-40, 0.1, 8.0, 1e38, 3.5e38, 1e300, 1.79769313486231e308, HUGE_VAL};
  for (const double clip : clips)
    for (std::size_t at = 0; at < 8; ++at)
      check_inspect<Float>(mine, specification, count, at, clip);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) return 2;
  select_kernels(argv[1]);
  const FixedPointKernels& mine = *active_kernels().fixed_point;
  for (std::size_t count = 0; count <= kMaxCount; ++count) {
    check_float<float>(mine, kernels::kFixedPointPortable, count);
    check_float<double>(mine, kernels::kFixedPointPortable, count);
  }
  std::printf("%d differences\n", differences);
  return differences == 0 ? 0 : 1;
}
