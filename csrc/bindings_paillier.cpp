// Bindings of Paillier's cryptosystem and of slots in its plaintexts.

#include <memory>
#include <vector>

#include "bindings.hpp"
#include "paillier.hpp"
#include "paillier_secret.hpp"
#include "slots.hpp"

namespace fedsecure::bindings {
namespace {

using PublicHolder = std::shared_ptr<PaillierPublic>;
using SecretHolder = std::shared_ptr<PaillierSecret>;

span<const std::uint8_t> view(const Bytes& bytes) { return {bytes.data(), bytes.size()}; }

span<const std::uint8_t> rows_of(const py::array& array, const char* name, std::size_t bytes) {
  check_layout(array, name, 2);
  if (!holds<std::uint8_t>(array)) refuse_dtype(array, name, "uint8");
  if (array.shape(1) != static_cast<py::ssize_t>(bytes))
    throw py::value_error(std::string(name) + " must have " + std::to_string(bytes) +
                          " bytes in each row, got " + std::to_string(array.shape(1)));
  return input<std::uint8_t>(array);
}

// Calls work(out) without the GIL, with `count` fresh rows, and gives them.
template <typename Work>
py::array fill_rows(std::size_t count, std::size_t bytes, const Work& work) {
  py::array_t<std::uint8_t> array(
      {static_cast<py::ssize_t>(count), static_cast<py::ssize_t>(bytes)});
  const span<std::uint8_t> out = output<std::uint8_t>(array, "out");
  {
    const py::gil_scoped_release nogil;
    work(out);
  }
  return std::move(array);
}

std::unique_ptr<PaillierBase> py_base(const PaillierPublic& self, py::handle value, py::handle bits,
                                      py::handle threads) {
  const Bytes number(value, "value");
  const unsigned width = to_bits(bits);
  const unsigned workers = to_threads(threads);
  const py::gil_scoped_release nogil;
  return std::make_unique<PaillierBase>(self.modulus(), view(number), width, workers);
}

std::unique_ptr<PaillierSecretBase> py_secret_base(const SecretHolder& self, py::handle value,
                                                   py::handle bits, py::handle threads) {
  const Bytes number(value, "value");
  const unsigned width = to_bits(bits);
  const unsigned workers = to_threads(threads);
  const py::gil_scoped_release nogil;
  return std::make_unique<PaillierSecretBase>(self, view(number), width, workers);
}

// Both keys encrypt alike, as does the public one when it randomises.
template <typename Key, typename Base>
py::array py_encrypt(const Key& self, const py::array& plaintexts, const Base* base,
                     py::handle seed, py::handle first, py::handle threads) {
  const auto from = rows_of(plaintexts, "plaintexts", self.key_bytes());
  const Seed key(seed, Prg::aes256);
  const Randomness randomness{key.data(), to_unsigned(first, "first")};
  const unsigned workers = to_threads(threads);
  return fill_rows(from.size() / self.key_bytes(), self.row_bytes(), [&](span<std::uint8_t> out) {
    self.encrypt(from, base, randomness, out, workers);
  });
}

py::array py_randomize(const PaillierPublic& self, const py::array& rows, const PaillierBase* base,
                       py::handle seed, py::handle first, py::handle threads) {
  const auto from = rows_of(rows, "rows", self.row_bytes());
  const Seed key(seed, Prg::aes256);
  const Randomness randomness{key.data(), to_unsigned(first, "first")};
  const unsigned workers = to_threads(threads);
  return fill_rows(from.size() / self.row_bytes(), self.row_bytes(), [&](span<std::uint8_t> out) {
    self.randomize(from, base, randomness, out, workers);
  });
}

py::array py_power(const PaillierPublic& self, const py::array& rows, py::handle exponent,
                   py::handle threads) {
  const auto from = rows_of(rows, "rows", self.row_bytes());
  const Bytes number(exponent, "exponent");
  const unsigned workers = to_threads(threads);
  return fill_rows(from.size() / self.row_bytes(), self.row_bytes(),
                   [&](span<std::uint8_t> out) { self.power(from, view(number), out, workers); });
}

py::array py_power_each(const PaillierPublic& self, const py::array& rows,
                        const py::array& exponents, py::handle threads) {
  const auto from = rows_of(rows, "rows", self.row_bytes());
  check_layout(exponents, "exponents", 2);
  if (!holds<std::uint8_t>(exponents)) refuse_dtype(exponents, "exponents", "uint8");
  if (exponents.shape(0) != rows.shape(0))
    throw py::value_error("rows and exponents must be equally many, got " +
                          std::to_string(rows.shape(0)) + " and " +
                          std::to_string(exponents.shape(0)));
  const auto numbers = input<std::uint8_t>(exponents);
  const unsigned workers = to_threads(threads);
  return fill_rows(from.size() / self.row_bytes(), self.row_bytes(),
                   [&](span<std::uint8_t> out) { self.power_each(from, numbers, out, workers); });
}

py::array py_multiply(const PaillierPublic& self, const py::array& a, const py::array& b,
                      py::handle threads) {
  const auto x = rows_of(a, "a", self.row_bytes());
  const auto y = rows_of(b, "b", self.row_bytes());
  const unsigned workers = to_threads(threads);
  return fill_rows(x.size() / self.row_bytes(), self.row_bytes(),
                   [&](span<std::uint8_t> out) { self.multiply(x, y, out, workers); });
}

py::array py_weighted_product(const PaillierPublic& self, const py::sequence& vectors,
                              const py::sequence& weights, py::handle threads) {
  std::vector<py::array> held;  // what the spans borrow
  std::vector<span<const std::uint8_t>> rows;
  std::vector<std::uint64_t> factors;
  for (const py::handle vector : vectors) {
    if (!py::isinstance<py::array>(vector)) throw py::type_error("vectors must be arrays");
    held.push_back(py::reinterpret_borrow<py::array>(vector));
    rows.push_back(rows_of(held.back(), "vectors", self.row_bytes()));
  }
  if (rows.empty()) throw py::value_error("vectors must not be empty");
  for (const py::handle weight : weights) factors.push_back(to_unsigned(weight, "weights"));
  const unsigned workers = to_threads(threads);
  return fill_rows(
      rows[0].size() / self.row_bytes(), self.row_bytes(),
      [&](span<std::uint8_t> out) { self.weighted_product(rows, factors, out, workers); });
}

bool py_below(const PaillierPublic& self, const py::array& rows) {
  const auto from = rows_of(rows, "rows", self.row_bytes());
  const py::gil_scoped_release nogil;
  return self.below(from);
}

std::unique_ptr<PaillierProduct> py_product(const PaillierPublic& key, py::handle count) {
  constexpr std::uint64_t kMost = std::uint64_t{1} << 40;
  const std::uint64_t size = to_unsigned(count, "count");
  if (size > kMost) throw py::value_error("count must not pass 2**40");
  return std::make_unique<PaillierProduct>(key.modulus(), static_cast<std::size_t>(size));
}

void py_product_multiply(PaillierProduct& self, const py::array& rows, py::handle first,
                         py::handle threads) {
  const auto from = rows_of(rows, "rows", self.row_bytes());
  const std::uint64_t begin = to_unsigned(first, "first");
  const unsigned workers = to_threads(threads);
  const py::gil_scoped_release nogil;
  self.multiply(from, begin, workers);
}

py::array py_product_rows(const PaillierProduct& self, py::handle threads) {
  const unsigned workers = to_threads(threads);
  return fill_rows(self.size(), self.row_bytes(),
                   [&](span<std::uint8_t> out) { self.rows(out, workers); });
}

py::array py_decrypt(const PaillierSecret& self, const py::array& rows, py::handle threads) {
  const auto from = rows_of(rows, "rows", self.row_bytes());
  const unsigned workers = to_threads(threads);
  return fill_rows(from.size() / self.row_bytes(), self.key_bytes(),
                   [&](span<std::uint8_t> out) { self.decrypt(from, out, workers); });
}

Slots to_slots(py::handle bits, py::handle slots, const Bytes& n) {
  const Slots made{to_bits(bits), static_cast<std::size_t>(to_unsigned(slots, "slots")), view(n)};
  check_slots(made);
  return made;
}

py::array py_pack_slots(const py::array& x, py::handle bits, py::handle slots, py::handle n) {
  const Bytes modulus(n, "n");
  const Slots made = to_slots(bits, slots, modulus);
  return with_lane(x, "x", [&](auto lane) {
    const auto from = input<decltype(lane)>(x);
    return fill_rows(made.rows(from.size()), modulus.size(),
                     [&](span<std::uint8_t> out) { pack_slots(from, made, out); });
  });
}

void py_unpack_slots(const py::array& rows, py::handle bits, py::handle slots, py::handle n,
                     py::array& out) {
  const Bytes modulus(n, "n");
  const Slots made = to_slots(bits, slots, modulus);
  const auto from = rows_of(rows, "rows", modulus.size());
  with_lane(out, "out", [&](auto lane) {
    const auto to = output<decltype(lane)>(out, "out");
    refuse_overlap(out, "out", rows, "rows");
    const py::gil_scoped_release nogil;
    unpack_slots(from, made, to);
  });
}

constexpr char kEncryptDoc[] =
    "encrypt(plaintexts: uint8[count, key_bytes], base, seed, *, first=0, threads=0)\n"
    "    -> uint8[count, 2 * key_bytes]\n\n"
    "(1 + m * n) * r modulo n**2 for every plaintext m. With a base, r is its power, number i\n"
    "having exponent first + i of the keystream of seed (40 bytes; AES-256); with None, r is\n"
    "number first + i of key_bytes + 16 bytes of that keystream, to the power of n. Use every\n"
    "exponent once. Constant time. ValueError when a plaintext is not below n.";

// Classes of the usual kind: pybind11's own watches over subclasses, which these have none of.
py::metaclass plain_type() { return py::metaclass(reinterpret_cast<PyObject*>(&PyType_Type)); }

void bind_public(py::module_& m) {
  py::class_<PaillierBase>(
      m, "PaillierBase", py::is_final(), plain_type(),
      "Powers of one number modulo n**2, from a table of megabytes: PaillierPublic.base.");
  py::class_<PaillierPublic, PublicHolder>(
      m, "PaillierPublic", py::is_final(), plain_type(),
      "PaillierPublic(n: bytes)\n\n"
      "Paillier's cryptosystem (EUROCRYPT 1999) with g = 1 + n, for n of 256, 384 or 512 bytes.\n"
      "All numbers are little-endian; rows are uint8 arrays of one number in each row, plaintexts\n"
      "of key_bytes and ciphertexts of 2 * key_bytes. ValueError unless n is odd and its top bit\n"
      "set, and from all methods for rows that are not below n**2.")
      .def(py::init(
               [](py::handle n) { return std::make_shared<PaillierPublic>(view(Bytes(n, "n"))); }),
           py::arg("n"))
      .def_property_readonly("key_bytes", &PaillierPublic::key_bytes)
      .def("base", &py_base, py::arg("value"), py::arg("bits"), py::kw_only(),
           py::arg("threads") = 0,
           "base(value: bytes, bits: int, *, threads=0) -> PaillierBase\n\n"
           "For powers of value (2 * key_bytes bytes, below n**2) with exponents of so many bits,\n"
           "a multiple of 8.")
      .def("encrypt", &py_encrypt<PaillierPublic, PaillierBase>, py::arg("plaintexts"),
           py::arg("base").none(true), py::arg("seed"), py::kw_only(), py::arg("first") = 0,
           py::arg("threads") = 0, kEncryptDoc)
      .def("randomize", &py_randomize, py::arg("rows"), py::arg("base").none(true), py::arg("seed"),
           py::kw_only(), py::arg("first") = 0, py::arg("threads") = 0,
           "randomize(rows, base, seed, *, first=0, threads=0) -> rows\n\n"
           "Every ciphertext times its r, as encrypt has it.")
      .def("power", &py_power, py::arg("rows"), py::arg("exponent"), py::kw_only(),
           py::arg("threads") = 0,
           "power(rows, exponent: bytes, *, threads=0) -> rows\n\n"
           "All to the same power. Constant time in the exponent, but for its length.")
      .def("power_each", &py_power_each, py::arg("rows"), py::arg("exponents"), py::kw_only(),
           py::arg("threads") = 0,
           "power_each(rows, exponents: uint8[count, e], *, threads=0) -> rows\n\n"
           "The same with an exponent for each.")
      .def("multiply", &py_multiply, py::arg("a"), py::arg("b"), py::kw_only(),
           py::arg("threads") = 0,
           "multiply(a, b, *, threads=0) -> rows\n\nThe products, row by row.")
      .def("weighted_product", &py_weighted_product, py::arg("vectors"), py::arg("weights"),
           py::kw_only(), py::arg("threads") = 0,
           "weighted_product(vectors: list, weights: list[int], *, threads=0) -> rows\n\n"
           "The product of vectors[j] ** weights[j], row by row. Weights, in [0, 2**63), are\n"
           "public: time depends on them.")
      .def("below", &py_below, py::arg("rows"),
           "below(rows) -> bool\n\nWhether all lie in [1, n**2).");
  py::class_<PaillierProduct>(
      m, "PaillierProduct", py::is_final(), plain_type(),
      "PaillierProduct(public: PaillierPublic, count: int)\n\n"
      "Products of ciphertexts that come one after the other: count numbers, each 1 at first.\n"
      "Only one thread at a time may call its methods.")
      .def(py::init(&py_product), py::arg("public"), py::arg("count"))
      .def("multiply", &py_product_multiply, py::arg("rows"), py::kw_only(), py::arg("first") = 0,
           py::arg("threads") = 0,
           "multiply(rows, *, first=0, threads=0) -> None\n\n"
           "Elements [first, first + len(rows)) times these.")
      .def("rows", &py_product_rows, py::kw_only(), py::arg("threads") = 0,
           "rows(*, threads=0) -> rows\n\nThe products as they are now.")
      .def(
          "copy",
          [](const PaillierProduct& self) { return std::make_unique<PaillierProduct>(self); },
          "copy() -> PaillierProduct\n\nAnother one with the same products.");
}

void bind_secret(py::module_& m) {
  py::class_<PaillierSecretBase>(
      m, "PaillierSecretBase", py::is_final(), plain_type(),
      "Powers of one number modulo the squares of both primes: PaillierSecret.base.");
  py::class_<PaillierSecret, SecretHolder>(
      m, "PaillierSecret", py::is_final(), plain_type(),
      "PaillierSecret(p: bytes, q: bytes)\n\n"
      "The secret key of PaillierPublic(p * q): two different primes of the same size (128, 192\n"
      "or 256 bytes), top bits set. Whether they are prime is not checked. Constant time; wiped\n"
      "when it goes.")
      .def(py::init([](py::handle p, py::handle q) {
             return std::make_shared<PaillierSecret>(view(Bytes(p, "p")), view(Bytes(q, "q")));
           }),
           py::arg("p"), py::arg("q"))
      .def_property_readonly("key_bytes", &PaillierSecret::key_bytes)
      .def("decrypt", &py_decrypt, py::arg("rows"), py::kw_only(), py::arg("threads") = 0,
           "decrypt(rows, *, threads=0) -> uint8[count, key_bytes]\n\n"
           "The plaintexts. ValueError if a ciphertext has no inverse modulo n**2.")
      .def("base", &py_secret_base, py::arg("value"), py::arg("bits"), py::kw_only(),
           py::arg("threads") = 0,
           "base(value: bytes, bits: int, *, threads=0) -> PaillierSecretBase\n\n"
           "As PaillierPublic.base.")
      .def("encrypt", &py_encrypt<PaillierSecret, PaillierSecretBase>, py::arg("plaintexts"),
           py::arg("base").none(true), py::arg("seed"), py::kw_only(), py::arg("first") = 0,
           py::arg("threads") = 0, kEncryptDoc);
}

}  // namespace

void bind_paillier(py::module_& m) {
  bind_public(m);
  bind_secret(m);
  m.def("pack_slots", &py_pack_slots, py::arg("x"), py::arg("bits"), py::arg("slots"), py::arg("n"),
        "pack_slots(x: uint16 | uint32 | uint64 [size], bits: int, slots: int, n: bytes)\n"
        "    -> uint8[ceil(size / slots), len(n)]\n\n"
        "One plaintext for `slots` of the numbers: the sum of x_j * 2**(bits * j) modulo n, x_j\n"
        "modulo 2**bits in two's complement (bits: 8 to 64), missing ones 0. Constant time.\n"
        "ValueError unless bits * slots <= 8 * len(n) - 2.");
  m.def("unpack_slots", &py_unpack_slots, py::arg("rows"), py::arg("bits"), py::arg("slots"),
        py::arg("n"), py::arg("out"),
        "unpack_slots(rows, bits: int, slots: int, n: bytes, out) -> None\n\n"
        "The numbers back, to the two's complement of out (uint16, uint32 or uint64). ValueError,\n"
        "and out zeroed, where a plaintext is not below n or does not fit.");
}

}  // namespace fedsecure::bindings
