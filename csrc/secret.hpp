// Holders for secret values: zeroed when made, wiped when they die, neither copied nor printed.
#pragma once

#include <cstddef>
#include <memory>
#include <type_traits>

#include "span.hpp"
#include "wipe.hpp"

namespace fedsecure {

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
