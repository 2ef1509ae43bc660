#include "fixed_point.hpp"

#include <algorithm>
#include <cmath>
#include <mutex>
#include <stdexcept>
#include <string>

#include "dispatch.hpp"
#include "parallel.hpp"
#include "prg.hpp"
#include "ring.hpp"
#include "secret.hpp"

namespace fedsecure {
namespace {

constexpr std::uint64_t kGrain = 32 * 1024;  // elements; tens of microseconds of work
// Random words made at a time: 8 KB on the stack, so that they, the floats and the ring elements
// stay in the first-level cache.
constexpr std::size_t kBlockWords = 2048;
constexpr std::size_t kWordsPerPrgBlock = kBlockBytes / sizeof(std::uint32_t);
constexpr std::uint64_t kMaxWords = kKeystreamLimit / sizeof(std::uint32_t);

void check_sizes(std::size_t x, std::size_t out) {
  if (x != out)
    throw std::invalid_argument("x has " + std::to_string(x) + " elements, out has " +
                                std::to_string(out));
}

void merge(FloatReport& total, const FloatReport& part) {
  total.outside += part.outside;
  total.nonfinite += part.nonfinite;
  total.too_large += part.too_large;
  total.max_abs = std::max(total.max_abs, part.max_abs);
}

// Elements [begin, end) with random words, which exist only a block at a time.
template <typename Float, typename Word>
void encode_stochastic(const Kernels& kernels, const PrgKeys& keys, span<const Float> x,
                       const EncodeOptions& options, span<Word> out, std::uint64_t first,
                       FloatReport* report) {
  const auto kernel = encode_kernel<Float, Word>(*kernels.fixed_point);
  Secret<std::uint32_t[kBlockWords]> random;
  std::size_t count = 0;
  for (std::size_t done = 0; done < x.size(); done += count) {
    // Ends where a block of the generator does, so that at most the first begins within one.
    const std::size_t whole = kBlockWords - (first + done) % kWordsPerPrgBlock;
    count = std::min(whole, x.size() - done);
    const span<std::uint8_t> bytes(reinterpret_cast<std::uint8_t*>(*random),
                                   count * sizeof(std::uint32_t));
    keys.keystream(0, (first + done) * sizeof(std::uint32_t), bytes);
    kernel(x.data() + done, count, options.factor, options.clip, *random, out.data() + done,
           report);
  }
}

}  // namespace

void check_options(const EncodeOptions& options, std::uint64_t size) {
  if (!std::isfinite(options.factor) || options.factor <= 0)
    throw std::invalid_argument("factor must be finite and positive");
  if (!std::isfinite(options.clip) || options.clip <= 0)
    throw std::invalid_argument("clip must be finite and positive");
  if (options.seed.count != 0 && (options.first >= kMaxWords || size > kMaxWords - options.first))
    throw std::invalid_argument("first + length must not pass 2**63 bytes of keystream");
}

FloatReport collect(const Range& range, unsigned threads, const ReportingBody& body) {
  FloatReport total;
  std::mutex mutex;
  parallel_for(range, threads, [&](std::uint64_t begin, std::uint64_t end) {
    FloatReport part;
    body(begin, end, &part);
    const std::lock_guard<std::mutex> lock(mutex);
    merge(total, declassify(part));
  });
  return total;
}

std::uint64_t checked(const FloatReport& report) {
  if (report.nonfinite != 0)
    throw std::invalid_argument(std::to_string(report.nonfinite) +
                                " values are NaN or infinite and have no fixed-point form");
  if (report.too_large != 0)
    throw std::invalid_argument(std::to_string(report.too_large) +
                                " values times factor reach 2**62; lower clip or factor");
  return report.outside;
}

template <typename Float>
FloatReport inspect(span<const Float> x, double clip, unsigned threads) {
  if (!(clip >= 0)) throw std::invalid_argument("clip must not be negative or NaN");
  const auto kernel = float_kernels<Float>(*active_kernels().fixed_point).inspect;
  const auto body = [&](std::uint64_t begin, std::uint64_t end, FloatReport* report) {
    kernel(x.data() + begin, end - begin, clip, report);
  };
  return collect(Range{0, x.size(), kGrain}, threads, body);
}

template <typename Float, typename Word>
std::uint64_t encode(span<const Float> x, const EncodeOptions& options, span<Word> out) {
  check_sizes(x.size(), out.size());
  check_options(options, x.size());
  const Kernels& kernels = active_kernels();
  const PrgKeys keys(kernels, options.seed);
  const auto body = [&](std::uint64_t begin, std::uint64_t end, FloatReport* report) {
    const span<const Float> from = x.subspan(begin, end - begin);
    const span<Word> to = out.subspan(begin, end - begin);
    if (keys.size() != 0)
      encode_stochastic(kernels, keys, from, options, to, options.first + begin, report);
    else
      encode_kernel<Float, Word> (*kernels.fixed_point)(from.data(), from.size(), options.factor,
                                                        options.clip, nullptr, to.data(), report);
  };
  return checked(collect(Range{0, x.size(), kGrain}, options.threads, body));
}

template <typename Word, typename Float>
void decode(span<const Word> x, unsigned bits, double factor, span<Float> out, unsigned threads) {
  check_bits(bits, 8 * sizeof(Word));
  check_sizes(x.size(), out.size());
  if (!std::isfinite(factor)) throw std::invalid_argument("factor must be finite");
  const auto kernel = decode_kernel<Word, Float>(*active_kernels().fixed_point);
  parallel_for(Range{0, x.size(), kGrain}, threads, [&](std::uint64_t begin, std::uint64_t end) {
    kernel(x.data() + begin, end - begin, bits, factor, out.data() + begin);
  });
}

#define FEDSECURE_LANE(Float, Word)                                                   \
  template std::uint64_t encode(span<const Float>, const EncodeOptions&, span<Word>); \
  template void decode(span<const Word>, unsigned, double, span<Float>, unsigned)
#define FEDSECURE_FLOAT(Float)                                       \
  template FloatReport inspect(span<const Float>, double, unsigned); \
  FEDSECURE_LANE(Float, std::uint16_t);                              \
  FEDSECURE_LANE(Float, std::uint32_t);                              \
  FEDSECURE_LANE(Float, std::uint64_t)
FEDSECURE_FLOAT(float);
FEDSECURE_FLOAT(double);
#undef FEDSECURE_FLOAT
#undef FEDSECURE_LANE

}  // namespace fedsecure
