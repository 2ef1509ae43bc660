// Bindings of Shamir's secret sharing.

#include "bindings.hpp"
#include "shamir.hpp"

namespace fedsecure::bindings {
namespace {

span<const std::uint32_t> points(const py::array& xs, py::ssize_t ndim = 1) {
  check_layout(xs, "xs", ndim);
  if (!holds<std::uint32_t>(xs)) refuse_dtype(xs, "xs", "uint32");
  return input<std::uint32_t>(xs);
}

void check_bytes(const py::array& array, const char* name, py::ssize_t ndim, std::size_t last) {
  check_layout(array, name, ndim);
  if (!holds<std::uint8_t>(array)) refuse_dtype(array, name, "uint8");
  if (array.shape(ndim - 1) != static_cast<py::ssize_t>(last))
    throw py::value_error(std::string(name) + " must have " + std::to_string(last) +
                          " bytes in its last dimension, got " +
                          std::to_string(array.shape(ndim - 1)));
}

py::array py_split(const py::array& secrets, py::handle threshold, const py::array& xs,
                   py::handle seed, py::handle prg) {
  check_bytes(secrets, "secrets", 2, kSecretBytes);
  const span<const std::uint32_t> at = points(xs);
  const Seed key(seed, to_prg(prg));
  const std::uint64_t t = to_unsigned(threshold, "threshold");
  py::array_t<std::uint8_t> shares(
      {secrets.shape(0), xs.shape(0), static_cast<py::ssize_t>(kShareBytes)});
  const span<std::uint8_t> to = output<std::uint8_t>(shares, "shares");
  const span<const std::uint8_t> from = input<std::uint8_t>(secrets);
  {
    const py::gil_scoped_release nogil;
    shamir_split(from, t, at, key.seeds(), to);
  }
  return std::move(shares);
}

py::array py_combine(const py::array& xs, const py::array& shares, py::handle threads) {
  const span<const std::uint32_t> at = points(xs);
  check_bytes(shares, "shares", 3, kShareBytes);
  if (shares.shape(1) != xs.shape(0))
    throw py::value_error("shares must have shape (m, t, 40) for xs of shape (t,), got t = " +
                          std::to_string(shares.shape(1)) + " and " + std::to_string(xs.shape(0)));
  const unsigned workers = to_threads(threads);
  py::array_t<std::uint8_t> secrets({shares.shape(0), static_cast<py::ssize_t>(kSecretBytes)});
  const span<std::uint8_t> to = output<std::uint8_t>(secrets, "secrets");
  const span<const std::uint8_t> from = input<std::uint8_t>(shares);
  {
    const py::gil_scoped_release nogil;
    shamir_combine(at, from, to, workers);
  }
  return std::move(secrets);
}

py::tuple py_combine_each(const py::array& xs, const py::array& shares, py::handle threads) {
  const span<const std::uint32_t> at = points(xs, 2);
  check_bytes(shares, "shares", 3, kShareBytes);
  if (shares.shape(0) != xs.shape(0) || shares.shape(1) != xs.shape(1))
    throw py::value_error("shares must have shape (m, t, 40) for xs of shape (m, t)");
  const unsigned workers = to_threads(threads);
  py::array_t<std::uint8_t> secrets({shares.shape(0), static_cast<py::ssize_t>(kSecretBytes)});
  py::array_t<std::uint8_t> good(shares.shape(0));
  const span<std::uint8_t> to = output<std::uint8_t>(secrets, "secrets");
  const span<std::uint8_t> verdicts = output<std::uint8_t>(good, "good");
  const span<const std::uint8_t> from = input<std::uint8_t>(shares);
  {
    const py::gil_scoped_release nogil;
    shamir_combine_each(at, from, to, verdicts, workers);
  }
  return py::make_tuple(std::move(secrets), std::move(good));
}

}  // namespace

void bind_shamir(py::module_& m) {
  m.def("shamir_split", &py_split, py::arg("secrets"), py::arg("threshold"), py::arg("xs"),
        py::arg("seed"), py::kw_only(), py::arg("prg") = 1,
        "shamir_split(secrets: uint8[m, 32], threshold: int, xs: uint32[n], seed, *, prg=1)\n"
        "    -> uint8[m, n, 40]\n\n"
        "Shares of every secret at the points xs (distinct, not zero) over GF(2**61 - 1):\n"
        "5 limbs of 52 bits, so 5 elements of 8 bytes little-endian per share. Coefficients come\n"
        "from the PRG of seed (used once) by rejection. Constant time in the secrets.\n"
        "ValueError unless 1 <= threshold <= n and the points are right.");
  m.def("shamir_combine", &py_combine, py::arg("xs"), py::arg("shares"), py::kw_only(),
        py::arg("threads") = 0,
        "shamir_combine(xs: uint32[t], shares: uint8[m, t, 40], *, threads=0) -> uint8[m, 32]\n\n"
        "The secrets whose shares at xs these are (interpolation at zero through all t points).\n"
        "ValueError when a share element is not below 2**61 - 1, or the result is no 32-byte\n"
        "secret. Constant time in the share values. threads: 0 for one per processor.");
  m.def("shamir_combine_each", &py_combine_each, py::arg("xs"), py::arg("shares"), py::kw_only(),
        py::arg("threads") = 0,
        "shamir_combine_each(xs: uint32[m, t], shares: uint8[m, t, 40], *, threads=0)\n"
        "    -> (uint8[m, 32], uint8[m])\n\n"
        "The same for secrets whose shares are at points of their own, and with a verdict for\n"
        "each: 1, or 0 and a zeroed secret where shamir_combine raises for its shares.\n"
        "ValueError when sizes are wrong, or points of one secret are zero or not distinct.");
}

}  // namespace fedsecure::bindings
