#include "parallel.hpp"

#include <algorithm>
#include <atomic>
#include <exception>
#include <mutex>
#include <system_error>
#include <thread>
#include <vector>

#include "secret.hpp"

namespace fedsecure {
namespace {

class Chunks {
 public:
  Chunks(const Range& range, const RangeBody& body)
      : range_(range), body_(body), first_border_(range.begin - range.begin % range.align) {
    step_ = std::max(range.grain, range.align);
    step_ += (range.align - step_ % range.align) % range.align;
    count_ = (range.end - first_border_ - 1) / step_ + 1;
  }

  std::uint64_t count() const { return count_; }

  // Takes chunks until none is left; what every thread runs. Bodies work on secrets.
  void drain() noexcept {
    const StackWiper wiper;
    try {
      for (std::uint64_t i = next_++; i < count_ && !failed_; i = next_++) {
        const std::uint64_t begin = first_border_ + i * step_;
        // The last chunk ends at range.end; min() alone could overflow there.
        const std::uint64_t end = i + 1 == count_ ? range_.end : begin + step_;
        body_(std::max(begin, range_.begin), end);
      }
    } catch (...) {
      const std::lock_guard<std::mutex> lock(error_mutex_);
      if (!error_) error_ = std::current_exception();
      failed_ = true;
    }
  }

  void rethrow() const {
    if (error_) std::rethrow_exception(error_);
  }

 private:
  const Range& range_;
  const RangeBody& body_;
  std::uint64_t first_border_;
  std::uint64_t step_ = 1;
  std::uint64_t count_ = 0;
  std::atomic<std::uint64_t> next_{0};
  std::atomic<bool> failed_{false};
  std::mutex error_mutex_;
  std::exception_ptr error_;
};

class Helpers {
 public:
  Helpers(Chunks& chunks, std::uint64_t count) {
    threads_.reserve(count);
    try {
      for (std::uint64_t i = 0; i < count; ++i)
        threads_.emplace_back([&chunks] { chunks.drain(); });
    } catch (const std::system_error&) {
      // No more threads to be had (process limit): the ones we have do the work, with the same
      // bits.
    }
  }
  ~Helpers() {
    for (std::thread& thread : threads_) thread.join();
  }
  Helpers(const Helpers&) = delete;
  Helpers& operator=(const Helpers&) = delete;

 private:
  std::vector<std::thread> threads_;
};

}  // namespace

void parallel_for(const Range& range, unsigned threads, const RangeBody& body) {
  if (range.begin >= range.end) return;
  Chunks chunks(range, body);
  std::uint64_t workers = threads;
  // Asking the system takes microseconds, longer than the work of one small chunk.
  if (workers == 0 && chunks.count() > 1) workers = std::thread::hardware_concurrency();
  workers = std::clamp<std::uint64_t>(workers, 1, chunks.count());
  {
    const Helpers helpers(chunks, workers - 1);
    chunks.drain();
  }
  chunks.rethrow();
}

}  // namespace fedsecure
