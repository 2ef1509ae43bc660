// Bindings of noise and of the rotation before it.

#include "bindings.hpp"
#include "hadamard.hpp"
#include "sampler.hpp"

namespace fedsecure::bindings {
namespace {

Rational to_rational(const py::handle& pair, const char* name) {
  const auto fail = [&]() -> py::type_error {
    return py::type_error(std::string(name) + " must be a pair (numerator, denominator)");
  };
  if (!py::isinstance<py::tuple>(pair)) throw fail();
  const auto parts = py::reinterpret_borrow<py::tuple>(pair);
  if (parts.size() != 2) throw fail();
  return {to_unsigned(parts[0], name), to_unsigned(parts[1], name)};
}

// Writes into int64, adds into a ring array.
void draw(const Noise& noise, py::handle seed, py::handle first, py::array& out, py::handle prg,
          py::handle threads) {
  const Seed key(seed, to_prg(prg));
  const std::uint64_t start = to_unsigned(first, "first");
  const unsigned workers = to_threads(threads);
  refuse_overlap(out, "out", key.data(), key.size(), "seed");
  const auto with = [&](auto word) {
    const span<decltype(word)> to = output<decltype(word)>(out, "out");
    const py::gil_scoped_release nogil;
    draw_noise(noise, key.seeds(), start, to, workers);
  };
  check_layout(out, "out", 1);
  if (holds<std::int64_t>(out)) return with(std::int64_t{});
  if (holds<std::uint16_t>(out)) return with(std::uint16_t{});
  if (holds<std::uint32_t>(out)) return with(std::uint32_t{});
  if (holds<std::uint64_t>(out)) return with(std::uint64_t{});
  refuse_dtype(out, "out", "int64, uint16, uint32 or uint64");
}

using MakeNoise = Noise (*)(const Rational&);

template <MakeNoise kMake>
void py_draw(py::handle parameter, py::handle seed, py::handle first, py::array out, py::handle prg,
             py::handle threads) {
  draw(kMake(to_rational(parameter, "the parameter")), seed, first, out, prg, threads);
}

void py_polya(py::handle shape, py::handle rate, py::handle seed, py::handle first, py::array out,
              py::handle prg, py::handle threads) {
  const Noise noise = polya_difference(to_rational(shape, "shape"), to_rational(rate, "rate"));
  draw(noise, seed, first, out, prg, threads);
}

void py_hadamard(py::array x, py::handle threads) {
  const unsigned workers = to_threads(threads);
  with_float(x, "x", [&](auto item) {
    const span<decltype(item)> to = output<decltype(item)>(x, "x");
    const py::gil_scoped_release nogil;
    hadamard(to, workers);
  });
}

void py_flip_signs(py::array x, py::handle seed, py::handle first, py::handle prg,
                   py::handle threads) {
  const Seed key(seed, to_prg(prg));
  const std::uint64_t start = to_unsigned(first, "first");
  const unsigned workers = to_threads(threads);
  refuse_overlap(x, "x", key.data(), key.size(), "seed");
  with_float(x, "x", [&](auto item) {
    const span<decltype(item)> to = output<decltype(item)>(x, "x");
    const py::gil_scoped_release nogil;
    flip_signs(to, key.seeds(), start, workers);
  });
}

void bind_rotation(py::module_& m) {
  m.def(
      "hadamard", &py_hadamard, py::arg("x"), py::kw_only(), py::arg("threads") = 0,
      "hadamard(x: float32|float64[n], *, threads=0) -> None\n\n"
      "x = H x in place, H[i][j] = (-1)**popcount(i & j), not normalized. n a power of two up to\n"
      "2**30. Additions of floats in a fixed order: the same bits everywhere.");
  m.def("flip_signs", &py_flip_signs, py::arg("x"), py::arg("seed"), py::arg("first"),
        py::kw_only(), py::arg("prg") = 2, py::arg("threads") = 0,
        "flip_signs(x: float32|float64[n], seed, first: int, *, prg=2, threads=0) -> None\n\n"
        "x[i] = -x[i] in place where bit first + i of the keystream of seed is 1 (bits of a byte\n"
        "from the least significant on). The seed may be public.");
}

}  // namespace

void bind_sampler(py::module_& m) {
  m.def(
      "sample_discrete_gaussian", &py_draw<discrete_gaussian>, py::arg("sigma_squared"),
      py::arg("seed"), py::arg("first"), py::arg("out"), py::kw_only(), py::arg("prg") = 2,
      py::arg("threads") = 0,
      "sample_discrete_gaussian(sigma_squared: tuple[int, int], seed, first: int,\n"
      "                         out: int64[n] | ring[n], *, prg=2, threads=0) -> None\n\n"
      "P[k] ~ exp(-k**2 / (2 sigma_squared)), exactly; sigma_squared = numerator / denominator,\n"
      "both below 2**62, their quotient at least 2**-40. Number first + i of the seed goes into\n"
      "out[i] if out is int64, and is added to it, wrapping in the lane, if out is a ring array.\n"
      "first + n <= 2**44. A seed is for one law and one use. Not constant time (sampler.hpp).\n"
      "ValueError when a parameter is out of range; then out is unchanged.");
  m.def("sample_skellam", &py_draw<skellam>, py::arg("variance"), py::arg("seed"), py::arg("first"),
        py::arg("out"), py::kw_only(), py::arg("prg") = 2, py::arg("threads") = 0,
        "sample_skellam(variance: tuple[int, int], seed, first: int, out: int64[n] | ring[n], *,\n"
        "               prg=2, threads=0) -> None\n\n"
        "The difference of two Poisson numbers of mean variance / 2 each, in [2**-40, 2**40];\n"
        "otherwise as sample_discrete_gaussian.");
  m.def("sample_discrete_laplace", &py_draw<discrete_laplace>, py::arg("rate"), py::arg("seed"),
        py::arg("first"), py::arg("out"), py::kw_only(), py::arg("prg") = 2, py::arg("threads") = 0,
        "sample_discrete_laplace(rate: tuple[int, int], seed, first: int,\n"
        "                        out: int64[n] | ring[n], *, prg=2, threads=0) -> None\n\n"
        "P[k] ~ exp(-rate |k|), the two-sided geometric law; rate in [2**-40, 2**40]; otherwise\n"
        "as sample_discrete_gaussian.");
  m.def("sample_polya_difference", &py_polya, py::arg("shape"), py::arg("rate"), py::arg("seed"),
        py::arg("first"), py::arg("out"), py::kw_only(), py::arg("prg") = 2, py::arg("threads") = 0,
        "sample_polya_difference(shape: tuple[int, int], rate: tuple[int, int], seed, first: int,\n"
        "                        out: int64[n] | ring[n], *, prg=2, threads=0) -> None\n\n"
        "The difference of two negative binomial numbers of this shape (in [2**-40, 1]) and\n"
        "p = exp(-rate): 1 / shape of them sum to one of sample_discrete_laplace(rate). rate in\n"
        "[2**-24, 2**40]; otherwise as sample_discrete_gaussian.");
  bind_rotation(m);
}

}  // namespace fedsecure::bindings
