// Samplers from the inside, driven by test_sampler_exactness.py.
//
//   sampler_check KIND NUMERATOR DENOMINATOR SHAPE_NUMERATOR SHAPE_DENOMINATOR BLOCKS
//       exit 1 unless bounds and long integers decide all proposals of so many blocks alike
//   sampler_check density KIND NUMERATOR DENOMINATOR SHAPE_NUMERATOR SHAPE_DENOMINATOR X...
//       for each X: the bounds of rho(X), in hexadecimal, and rho(X) from long integers
//   sampler_check rough KIND NUMERATOR DENOMINATOR SHAPE_NUMERATOR SHAPE_DENOMINATOR BLOCKS SLACK
//       the numbers of so many blocks from a sampler with coarse pieces, near tails and many
//       rejections; exit 1 unless long integers decide the first blocks alike

#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>

#include "density.hpp"
#include "dispatch.hpp"
#include "sampler.hpp"

namespace {

using namespace fedsecure;

Law law_from(char** argv) {
  const std::string kind = argv[0];
  const LawKind number = kind == "gaussian"  ? LawKind::gaussian
                         : kind == "laplace" ? LawKind::laplace
                         : kind == "poisson" ? LawKind::poisson
                                             : LawKind::polya;
  const auto integer = [&](int i) { return std::strtoull(argv[i], nullptr, 10); };
  return {number, {integer(1), integer(2)}, {integer(3), integer(4)}};
}

// The largest double that long integers say is below numerator / denominator.
double quotient(const Quotient& q) {
  double low = 0;
  for (double step = 1; step > 1e-17; step /= 2) {
    const double tried = low + step;
    Wide product(q.denominator);
    int exponent = 0;
    product.multiply(static_cast<std::uint64_t>(std::ldexp(std::frexp(tried, &exponent), 53)));
    product.scale(exponent - 53);
    if (product.upper().value_at_most(q.numerator)) low = tried;
  }
  return low;
}

PrgKeys some_keys() {
  static std::uint8_t seed[40];
  for (std::size_t i = 0; i < sizeof seed; ++i) seed[i] = static_cast<std::uint8_t>(i * 37 + 11);
  return {active_kernels(), {Prg::aes256, seed, 1}};
}

int rough(char** argv) {
  const Law law = law_from(argv);
  const double slack = std::strtod(argv[6], nullptr);
  const Sampler fast(law, Decide::by_bounds, slack);
  const Sampler slow(law, Decide::exactly, slack);
  const PrgKeys keys = some_keys();
  const std::uint64_t blocks = std::strtoull(argv[5], nullptr, 10);
  for (std::uint64_t block = 0; block < blocks; ++block) {
    std::int64_t numbers[kNumbersPerBlock];
    std::int64_t others[kNumbersPerBlock];
    fast.draw(keys, block, numbers);
    if (static_cast<double>(block) * slack < 100) {
      slow.draw(keys, block, others);
      if (std::memcmp(numbers, others, sizeof numbers) != 0) return 1;
    }
    for (const std::int64_t number : numbers) std::printf("%lld\n", static_cast<long long>(number));
  }
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 7) return 2;
  if (std::strcmp(argv[1], "density") == 0) {
    const Density density(law_from(argv + 2));
    for (int i = 7; i < argc; ++i) {
      const std::int64_t x = std::strtoll(argv[i], nullptr, 10);
      const Bounds bounds = density.bounds(x);
      std::printf("%a %a %a\n", bounds.low, bounds.high, quotient(density.exact(x, 12)));
    }
    return 0;
  }
  if (std::strcmp(argv[1], "rough") == 0) return argc == 9 ? rough(argv + 2) : 2;
  const Law law = law_from(argv + 1);
  const PrgKeys keys = some_keys();
  const Sampler fast(law);
  const Sampler slow(law, Decide::exactly);
  const std::uint64_t blocks = std::strtoull(argv[6], nullptr, 10);
  for (std::uint64_t block = 0; block < blocks; ++block) {
    std::int64_t numbers[kNumbersPerBlock];
    std::int64_t others[kNumbersPerBlock];
    fast.draw(keys, block, numbers);
    slow.draw(keys, block, others);
    if (std::memcmp(numbers, others, sizeof numbers) != 0) return 1;
  }
}
