#include <runnel/detail/fatal.hpp>
#include <runnel/sync/errgroup.hpp>
#include <string>

namespace runnel {

void errgroup::set_limit(int n) {
  if (slots_.has_value() && slots_->size() != 0) {
    const std::string text = "errgroup: modify limit while " + std::to_string(slots_->size()) +
                             " goroutines in the group are still active";
    detail::throw_panic(text.c_str());
  }
  if (n < 0) {
    slots_.reset();
  } else {
    slots_.emplace(static_cast<std::size_t>(n));
  }
}

void errgroup::wait() {
  running_.wait();
  scope_.cancel(error_);
  if (error_ != nullptr) std::rethrow_exception(error_);
}

void errgroup::failed(std::exception_ptr error) noexcept {
  call_once(first_, [&] {
    error_ = std::move(error);
    scope_.cancel(error_);
  });
}

void errgroup::finished() noexcept {
  if (slots_.has_value()) slots_->recv();
  running_.done();
}

}  // namespace runnel
