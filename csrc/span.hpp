// span<T>: pointer + length (C++17 has none). Borrows; never owns.
#pragma once

#include <cassert>
#include <cstddef>

namespace fedsecure {

template <typename T>
class span {
 public:
  constexpr span() = default;
  constexpr span(T* data, std::size_t size) : data_(data), size_(size) {}

  constexpr T* data() const { return data_; }
  constexpr std::size_t size() const { return size_; }
  constexpr bool empty() const { return size_ == 0; }
  constexpr T* begin() const { return data_; }
  constexpr T* end() const { return data_ + size_; }

  constexpr T& operator[](std::size_t i) const {
    assert(i < size_);
    return data_[i];
  }

  // The `count` elements from `offset` on; the range must lie inside the span.
  constexpr span subspan(std::size_t offset, std::size_t count) const {
    assert(offset <= size_ && count <= size_ - offset);
    return span(data_ + offset, count);
  }

  constexpr operator span<const T>() const { return span<const T>(data_, size_); }

 private:
  T* data_ = nullptr;
  std::size_t size_ = 0;
};

}  // namespace fedsecure
