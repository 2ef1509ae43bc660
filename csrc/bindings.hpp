// How Python objects become spans: what the bindings share. Only bindings*.cpp include this.
//
// Every bound function does the same: check all arguments, borrow their memory, release the GIL,
// call. Errors: TypeError for what an argument is (dtype, strides, alignment), ValueError for what
// is in it (sizes, ranges, a read-only output). Nothing is ever converted or copied silently.
#pragma once

#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>

#include <cstdint>
#include <string>
#include <type_traits>

#include "prg.hpp"
#include "span.hpp"

namespace fedsecure::bindings {

namespace py = pybind11;

// Borrowed memory of a bytes-like object (contiguous); Python keeps it alive and unmoved meanwhile.
class Bytes {
 public:
  Bytes(py::handle object, const char* name, bool writable = false);
  ~Bytes() { PyBuffer_Release(&view_); }
  Bytes(const Bytes&) = delete;
  Bytes& operator=(const Bytes&) = delete;

  std::uint8_t* data() const { return static_cast<std::uint8_t*>(view_.buf); }
  std::size_t size() const { return static_cast<std::size_t>(view_.len); }

 private:
  Py_buffer view_;
};

// The `prg` argument: the number of a generator, or ValueError.
Prg to_prg(py::handle number);

// A seed of the generator; a buffer of another size is ValueError.
class Seed : public Bytes {
 public:
  Seed(py::handle object, Prg prg);
  Seeds seeds() const { return {prg_, data(), 1}; }

 private:
  Prg prg_;
};

// Any Python integer (or object with __index__) in [0, 2^64); others are ValueError.
std::uint64_t to_unsigned(py::handle number, const char* name);

// The `threads` argument: 0 for one per processor.
unsigned to_threads(py::handle number);

// The `bits` argument; the range is checked further down.
unsigned to_bits(py::handle number);

// TypeError unless C-contiguous and aligned for its items; ValueError unless it has `ndim`
// dimensions.
void check_layout(const py::array& array, const char* name, py::ssize_t ndim);

// ValueError unless writeable.
void check_writeable(const py::array& array, const char* name);

[[noreturn]] void refuse_dtype(const py::array& array, const char* name, const char* wanted);

// ValueError when the two share memory.
void refuse_overlap(const py::array& a, const char* a_name, const void* b, std::size_t b_bytes,
                    const char* b_name);
void refuse_overlap(const py::array& a, const char* a_name, const py::array& b, const char* b_name);

// Whether the items are native-endian T. Compared by kind and size, since C has several types (and
// numpy several type numbers) for the same integer.
template <typename T>
bool holds(const py::array& array) {
  const py::dtype dtype = array.dtype();
  const char kind = std::is_floating_point_v<T> ? 'f' : std::is_signed_v<T> ? 'i' : 'u';
  return dtype.kind() == kind && dtype.itemsize() == static_cast<py::ssize_t>(sizeof(T)) &&
         (dtype.byteorder() == '=' || dtype.byteorder() == '|');
}

template <typename T>
span<const T> input(const py::array& array) {
  return span<const T>(static_cast<const T*>(array.data()), static_cast<std::size_t>(array.size()));
}

template <typename T>
span<T> output(py::array& array, const char* name) {
  check_writeable(array, name);
  return span<T>(static_cast<T*>(array.mutable_data()), static_cast<std::size_t>(array.size()));
}

// Borrows k seeds (uint8, k x seed_bytes(prg)); refuses others, and what is not k signs (int8).
Seeds to_seeds(const py::array& seeds, const py::array& signs, Prg prg);

// A one-dimensional array of bytes.
span<const std::uint8_t> byte_input(const py::array& array, const char* name);
span<std::uint8_t> byte_output(py::array& array, const char* name);

// Calls use(Word{}) with the lane type of a one-dimensional ring array.
template <typename Use>
auto with_lane(const py::array& array, const char* name, Use&& use) {
  check_layout(array, name, 1);
  if (holds<std::uint16_t>(array)) return use(std::uint16_t{});
  if (holds<std::uint32_t>(array)) return use(std::uint32_t{});
  if (holds<std::uint64_t>(array)) return use(std::uint64_t{});
  refuse_dtype(array, name, "uint16, uint32 or uint64");
}

// Calls use(Float{}) with the item type of a one-dimensional float array.
template <typename Use>
auto with_float(const py::array& array, const char* name, Use&& use) {
  check_layout(array, name, 1);
  if (holds<float>(array)) return use(float{});
  if (holds<double>(array)) return use(double{});
  refuse_dtype(array, name, "float32 or float64");
}

void bind_system(py::module_& m);   // kernels, entropy, wiping
void bind_vectors(py::module_& m);  // keystream, masks, ring, fixed point
void bind_client_pass(py::module_& m);
void bind_shamir(py::module_& m);
void bind_sampler(py::module_& m);  // noise, and the rotation before it
void bind_paillier(py::module_& m);

}  // namespace fedsecure::bindings
