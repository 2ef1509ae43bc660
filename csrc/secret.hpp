// Holders for secret values: zeroed when made, wiped when they die, neither copied nor printed. And
// the wiping of what compilers leave behind on the stack.
#pragma once

#include <cstddef>
#include <memory>
#include <type_traits>

#include "span.hpp"
#include "wipe.hpp"

#if defined(FEDSECURE_CONSTTIME_CHECK)
#include <valgrind/memcheck.h>
#endif

namespace fedsecure {

// Says that a value made from secrets is public and may be branched on. It does nothing, but for
// the constant-time check (tests/core/secrets_check.cpp), which runs the code with its secrets
// marked as uninitialised memory and fails where one decides a branch or an address.
template <typename T>
T declassify(T value) {
#if defined(FEDSECURE_CONSTTIME_CHECK)
  VALGRIND_MAKE_MEM_DEFINED(&value, sizeof value);
#endif
  return value;
}

// Overwrites the dead stack below the caller's frame (32 KB: more than any kernel uses). Compilers
// spill registers to the stack when code gets dense, and no wipe of a named variable reaches those
// copies; so whoever has called code on secrets calls this afterwards. It clears scratch registers
// too.
void wipe_dead_stack();

// The same at the end of a scope, however it is left. The secret work must be in a function called
// from that scope and not inlined into it.
class StackWiper {
 public:
  StackWiper() = default;
  ~StackWiper() { wipe_dead_stack(); }
  StackWiper(const StackWiper&) = delete;
  StackWiper& operator=(const StackWiper&) = delete;
};

// One value on the stack (a key schedule, a block of keystream, a few field elements).
template <typename T>
class Secret {
  static_assert(std::is_trivially_copyable_v<T>, "only plain data can be wiped bytewise");

 public:
  Secret() = default;
  ~Secret() { wipe(&value_, sizeof value_); }
  Secret(const Secret&) = delete;
  Secret& operator=(const Secret&) = delete;

  T* get() { return &value_; }
  const T* get() const { return &value_; }
  T& operator*() { return value_; }
  const T& operator*() const { return value_; }
  T* operator->() { return &value_; }
  const T* operator->() const { return &value_; }

 private:
  T value_{};
};

// A fixed number of values on the heap. The number is set once, so no reallocation leaves copies.
template <typename T>
class SecretArray {
  static_assert(std::is_trivially_copyable_v<T>, "only plain data can be wiped bytewise");

 public:
  explicit SecretArray(std::size_t size) : data_(std::make_unique<T[]>(size)), size_(size) {}
  ~SecretArray() { wipe(data_.get(), size_ * sizeof(T)); }
  SecretArray(const SecretArray&) = delete;
  SecretArray& operator=(const SecretArray&) = delete;

  std::size_t size() const { return size_; }
  T* data() { return data_.get(); }
  const T* data() const { return data_.get(); }
  T& operator[](std::size_t i) { return data_[i]; }
  const T& operator[](std::size_t i) const { return data_[i]; }
  span<T> view() { return span<T>(data_.get(), size_); }
  span<const T> view() const { return span<const T>(data_.get(), size_); }

 private:
  std::unique_ptr<T[]> data_;
  std::size_t size_;
};

}  // namespace fedsecure
