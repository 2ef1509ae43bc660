#include "sampler.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <list>
#include <mutex>
#include <numeric>
#include <stdexcept>
#include <utility>

#include "dispatch.hpp"
#include "parallel.hpp"
#include "secret.hpp"

namespace fedsecure {
namespace {

constexpr unsigned kSlotBits = 12;
constexpr std::size_t kSlots = std::size_t{1} << kSlotBits;
constexpr unsigned kNarrowBits = 32 - kSlotBits;
constexpr unsigned kMostBits = 44;
constexpr double kFlat = 15.0 / 16;  // rho falls by at most 1/16 within a piece of several slots
constexpr double kMargin = 0x1p-40;  // above what a few operations in double precision round
constexpr double kTwo32 = 4294967296.0;

constexpr std::uint64_t kProposals = 160;  // with a word in the first half of the keystream
constexpr std::uint64_t kMostProposals = std::uint64_t{1} << 16;
constexpr std::uint64_t kOwnBytes = 256;
constexpr std::uint64_t kSecondHalf = std::uint64_t{1} << 62;
constexpr std::size_t kTailBits = 16;  // places within a proposal's own bytes
constexpr std::size_t kTailBytes = 64;
constexpr std::size_t kTailPlace = 80;
constexpr std::size_t kMoreOfU = 96;
constexpr std::size_t kLimbsPerTry = 8;
constexpr std::size_t kTries = (kOwnBytes - kMoreOfU) / (4 * kLimbsPerTry);
constexpr std::uint64_t kGrain = 64 * kNumbersPerBlock;
constexpr std::size_t kKept = 16;

using Words = std::uint64_t[2 * kProposals];

// 32 bits of mantissa, so that the product of an area with a number of slots is exact.
double rounded_up(double area) {
  int exponent = 0;
  const double mantissa = std::frexp(area, &exponent);
  return std::ldexp(std::ceil(std::ldexp(mantissa, 32)), exponent - 32);
}

}  // namespace

// What decides the fate of one proposal: its word, and the keystream of its own.
struct Sampler::Proposal {
  const PrgKeys& keys;
  std::uint64_t block;
  std::uint64_t number;
  std::uint32_t u;

  void own(std::size_t from, void* to, std::size_t size) const {
    const std::uint64_t at =
        kSecondHalf + ((block << 24) | (number * kOwnBytes)) + static_cast<std::uint64_t>(from);
    keys.keystream(0, at, span<std::uint8_t>(static_cast<std::uint8_t*>(to), size));
  }
};

Sampler::Sampler(const Law& law, Decide decide, double slack) : density_(law), decide_(decide) {
  double area = slack * density_.rough_total() / kSlots;
  while (!build(rounded_up(area)))
    area *= std::max(1.004, 0.999 * static_cast<double>(used_) / static_cast<double>(kSlots));
}

// Whether the slots were enough.
bool Sampler::build(double area) {
  area_ = area;
  used_ = 0;
  wide_ = false;
  pieces_.clear();
  slots_.clear();
  add_side(+1, density_.mode());
  add_side(-1, density_.mode() - 1);
  if (used_ > kSlots) return false;
  add_piece({0, 0, 0, 0, 0, 0, 0}, {0, 0}, {0, 0});
  slots_.resize(kSlots, static_cast<std::uint16_t>(pieces_.size() - 1));
  return true;
}

// Pieces from `from` away from the mode, then a tail once one slot is enough for it.
void Sampler::add_side(int direction, std::int64_t from) {
  unsigned half = 0;  // rho halves over 2^half
  while (half < kMostBits && !density_.halves(from, std::int64_t{1} << half)) ++half;
  unsigned bits = half;
  while (density_.in_support(from) && used_ <= 2 * kSlots) {
    while (half > 0 && density_.halves(from, std::int64_t{1} << (half - 1))) --half;
    const Bounds nearest = density_.bounds(from);
    const auto slots = [&](unsigned log_width) {
      return std::ceil(std::ldexp(nearest.high, static_cast<int>(log_width)) / area_ *
                       (1 + kMargin));
    };
    if (slots(half + 1) <= 1 && density_.halves(from, std::int64_t{1} << half)) {
      const auto tail = static_cast<std::int8_t>(direction);
      add_piece({from, 0, 0, 0, 1, static_cast<std::uint8_t>(half), tail}, nearest, {0, 1});
      return;
    }
    const auto farthest = [&](unsigned log_width) {
      return from + direction * ((std::int64_t{1} << log_width) - 1);
    };
    const auto fits = [&](unsigned log_width) {
      const std::int64_t end = farthest(log_width);
      if (!density_.in_support(end)) return false;
      return slots(log_width) <= 1 || density_.bounds(end).low >= nearest.high * kFlat;
    };
    bits = std::min(bits + 2, kMostBits);
    while (bits > 0 && !fits(bits)) --bits;
    const std::int64_t end = farthest(bits);
    const auto wanted =
        static_cast<std::uint16_t>(std::min(slots(bits), static_cast<double>(kSlots + 1)));
    add_piece({std::min(from, end), 0, 0, 0, wanted, static_cast<std::uint8_t>(bits), 0}, nearest,
              density_.bounds(end));
    from = end + direction;
  }
}

void Sampler::add_piece(Piece piece, const Bounds& nearest, const Bounds& farthest) {
  piece.mask = (std::uint64_t{1} << piece.bits) - 1;
  if (piece.slots != 0) {
    const double height = std::ldexp(piece.slots * area_, -piece.bits);
    const double low = farthest.low / height * (1 - kMargin) * kTwo32;
    const double high = std::ceil(nearest.high / height * (1 + kMargin) * kTwo32);
    piece.accept = static_cast<std::uint32_t>(std::min(low, kTwo32 - 1));
    piece.last = static_cast<std::uint32_t>(std::clamp(high, 1.0, kTwo32) - 1);
    if (piece.tail != 0 || decide_ == Decide::exactly) piece.accept = 0;
    if (piece.tail != 0 || decide_ == Decide::exactly) piece.last = 0xFFFFFFFF;
  }
  wide_ = wide_ || (piece.tail == 0 && piece.bits > kNarrowBits);
  slots_.insert(slots_.end(), piece.slots, static_cast<std::uint16_t>(pieces_.size()));
  used_ += piece.slots;
  pieces_.push_back(piece);
}

double Sampler::acceptance() const {
  return density_.rough_total() / (area_ * static_cast<double>(kSlots));
}

void Sampler::draw(const PrgKeys& keys, std::uint64_t block, std::int64_t* out) const {
  Secret<Words> words;
  const std::uint64_t step = wide_ ? 2 : 1;
  const std::size_t region = kProposals * step * sizeof(std::uint64_t);
  keys.keystream(0, block * region, {reinterpret_cast<std::uint8_t*>(*words), region});
  const unsigned place_shift = wide_ ? 0 : kSlotBits;
  const std::uint64_t* place = *words + (wide_ ? 1 : 0);
  const std::uint64_t* word = *words;
  std::size_t count = 0;
  for (std::uint64_t j = 0; count < kNumbersPerBlock; ++j) {
    if (j >= kProposals) {
      if (j == kMostProposals) throw std::runtime_error("the noise generator rejects everything");
      word = *words;
      place = *words + (wide_ ? 1 : 0);
      const Proposal late{keys, block, j, 0};
      late.own(0, *words, 2 * sizeof(std::uint64_t));
    }
    const std::uint64_t v = *word;
    const Piece& piece = pieces_[slots_[v & (kSlots - 1)]];
    const auto u = static_cast<std::uint32_t>(v >> 32);
    out[count] = piece.first + static_cast<std::int64_t>((*place >> place_shift) & piece.mask);
    if (u < piece.accept)
      ++count;
    else if (u <= piece.last && resolve({keys, block, j, u}, piece, out + count))
      ++count;
    word += step;
    place += step;
  }
}

// Whether the proposal is accepted, for one whose piece alone does not say so; and its x, if that
// lies in a tail.
bool Sampler::resolve(const Proposal& proposal, const Piece& piece, std::int64_t* x) const {
  if (piece.slots == 0) return false;
  unsigned cell = 0;
  if (piece.tail != 0) {
    Secret<std::uint8_t[kTailPlace + 8 - kTailBits]> own;
    proposal.own(kTailBits, *own, sizeof *own);
    while (cell < 8 * kTailBytes && ((*own)[cell / 8] >> (cell % 8) & 1) == 0) ++cell;
    if (cell == 8 * kTailBytes) throw std::runtime_error("512 random bits are zero");
    std::uint64_t place = 0;
    std::memcpy(&place, *own + (kTailPlace - kTailBits), sizeof place);
    const std::uint64_t away = (std::uint64_t{cell} << piece.bits) + (place & piece.mask);
    *x = piece.first + piece.tail * static_cast<std::int64_t>(away);
    if (!density_.in_support(*x)) return false;
  }
  if (decide_ == Decide::by_bounds) {
    const Bounds rho = density_.bounds(*x);
    const int down = piece.bits + (piece.tail != 0 ? static_cast<int>(cell) + 1 : 0);
    const double height = std::ldexp(piece.slots * area_, -down) / kTwo32;
    const double u = proposal.u;
    if ((u + 1) * height * (1 + kMargin) <= rho.low) return true;
    if (u * height * (1 - kMargin) >= rho.high) return false;
  }
  return accept_exactly(proposal, piece, *x, cell);
}

// U < rho(x) / height, that is U * height * denominator < numerator, with 256 further bits of U and
// as many of rho in every try.
bool Sampler::accept_exactly(const Proposal& proposal, const Piece& piece, std::int64_t x,
                             unsigned cell) const {
  int exponent = 0;
  const double mantissa = std::ldexp(std::frexp(area_, &exponent), 32);
  const int scale = exponent - 32 - piece.bits - (piece.tail != 0 ? static_cast<int>(cell) + 1 : 0);
  Secret<std::uint32_t[kTries * kLimbsPerTry]> more;  // after u, most significant first
  proposal.own(kMoreOfU, *more, sizeof *more);
  for (std::size_t t = 1; t <= kTries; ++t) {
    const std::size_t drawn = t * kLimbsPerTry + 1;
    const std::size_t limbs = drawn + 3;
    Quotient rho = density_.exact(x, limbs);
    rho.denominator.multiply(piece.slots);
    rho.denominator.multiply(static_cast<std::uint64_t>(mantissa));
    rho.denominator.scale(scale - 32 * static_cast<std::int64_t>(drawn));
    Secret<std::uint32_t[kTries * kLimbsPerTry + 2]> u;  // least significant first, and a carry
    for (std::size_t i = 0; i + 1 < drawn; ++i) (*u)[i] = (*more)[drawn - 2 - i];
    (*u)[drawn - 1] = proposal.u;
    const auto is_zero = [](std::uint32_t limb) { return limb == 0; };
    if (!std::all_of(*u, *u + drawn, is_zero)) {
      Wide low(rho.denominator);
      low.multiply(Wide(limbs, *u, drawn));
      if (rho.numerator.upper().value_at_most(low)) return false;
    }
    for (std::size_t i = 0; i <= drawn && ++(*u)[i] == 0; ++i) continue;
    Wide high(rho.denominator);
    high.multiply(Wide(limbs, *u, drawn + 1));
    if (high.upper().value_at_most(rho.numerator)) return true;
  }
  throw std::runtime_error("1312 random bits could not decide a comparison");
}

namespace {

Rational reduced(const Rational& x) {
  const std::uint64_t divisor = std::gcd(x.numerator, x.denominator);
  return divisor == 0 ? x : Rational{x.numerator / divisor, x.denominator / divisor};
}

}  // namespace

std::shared_ptr<const Sampler> sampler_of(const Law& given) {
  const Law law{given.kind, reduced(given.scale), reduced(given.shape)};
  static std::mutex mutex;
  static std::list<std::pair<Law, std::shared_ptr<const Sampler>>> kept;  // last used first
  const std::lock_guard<std::mutex> lock(mutex);
  const auto same = [&](const auto& entry) { return entry.first.key() == law.key(); };
  const auto found = std::find_if(kept.begin(), kept.end(), same);
  if (found != kept.end()) {
    kept.splice(kept.begin(), kept, found);
  } else {
    kept.emplace_front(law, std::make_shared<const Sampler>(law));
    if (kept.size() > kKept) kept.pop_back();
  }
  return kept.front().second;
}

Noise discrete_gaussian(const Rational& variance_parameter) {
  return {sampler_of({LawKind::gaussian, variance_parameter}), false};
}

Noise skellam(const Rational& variance) {
  Rational mean = variance;  // halved
  if (mean.numerator % 2 == 0)
    mean.numerator /= 2;
  else if (mean.denominator < std::uint64_t{1} << 62)
    mean.denominator *= 2;
  return {sampler_of({LawKind::poisson, mean}), true};
}

Noise discrete_laplace(const Rational& rate) {
  return {sampler_of({LawKind::laplace, rate}), false};
}

Noise polya_difference(const Rational& shape, const Rational& rate) {
  return {sampler_of({LawKind::polya, rate, shape}), true};
}

namespace {

template <typename Word>
void put(const std::int64_t* from, span<Word> out) {
  for (std::size_t i = 0; i < out.size(); ++i) {
    if constexpr (std::is_same_v<Word, std::int64_t>)
      out[i] = from[i];
    else
      out[i] = static_cast<Word>(out[i] + static_cast<Word>(from[i]));
  }
}

}  // namespace

template <typename Word>
void draw_noise(const Noise& noise, const PrgKeys& keys, std::uint64_t first, span<Word> out) {
  Secret<std::int64_t[kNumbersPerBlock]> numbers;
  Secret<std::int64_t[kNumbersPerBlock]> others;
  std::size_t count = 0;
  for (std::size_t done = 0; done < out.size(); done += count) {
    const std::uint64_t block = (first + done) / kNumbersPerBlock;
    const auto skip = static_cast<std::size_t>((first + done) % kNumbersPerBlock);
    count = std::min(kNumbersPerBlock - skip, out.size() - done);
    noise.sampler->draw(keys, noise.difference ? 2 * block : block, *numbers);
    if (noise.difference) {
      noise.sampler->draw(keys, 2 * block + 1, *others);
      for (std::size_t i = 0; i < kNumbersPerBlock; ++i) (*numbers)[i] -= (*others)[i];
    }
    put(*numbers + skip, out.subspan(done, count));
  }
}

template <typename Word>
void draw_noise(const Noise& noise, const Seeds& seed, std::uint64_t first, span<Word> out,
                unsigned threads) {
  if (first > kMaxNumbers || out.size() > kMaxNumbers - first)
    throw std::invalid_argument("first + length must not pass 2**44 numbers of one seed");
  const PrgKeys keys(active_kernels(), seed);
  const Range range{first, first + out.size(), kGrain, kNumbersPerBlock};
  parallel_for(range, threads, [&](std::uint64_t begin, std::uint64_t end) {
    draw_noise(noise, keys, begin, out.subspan(begin - first, end - begin));
  });
}

#define FEDSECURE_WORD(Word)                                                         \
  template void draw_noise(const Noise&, const PrgKeys&, std::uint64_t, span<Word>); \
  template void draw_noise(const Noise&, const Seeds&, std::uint64_t, span<Word>, unsigned)
FEDSECURE_WORD(std::int64_t);
FEDSECURE_WORD(std::uint16_t);
FEDSECURE_WORD(std::uint32_t);
FEDSECURE_WORD(std::uint64_t);
#undef FEDSECURE_WORD

}  // namespace fedsecure
