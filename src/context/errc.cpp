#include <runnel/errc.hpp>
#include <string>

namespace runnel {
namespace {

class category final : public std::error_category {
 public:
  const char* name() const noexcept override { return "runnel"; }

  std::string message(int value) const override {
    switch (static_cast<errc>(value)) {
      case errc::canceled:
        return "context canceled";
      case errc::deadline_exceeded:
        return "context deadline exceeded";
      case errc::circuit_open:
        return "circuit breaker is open";
    }
    return "unknown error " + std::to_string(value);
  }

  std::error_condition default_error_condition(int value) const noexcept override {
    switch (static_cast<errc>(value)) {
      case errc::canceled:
        return std::errc::operation_canceled;
      case errc::deadline_exceeded:
        return std::errc::timed_out;
      case errc::circuit_open:
        return std::errc::resource_unavailable_try_again;
    }
    return {value, *this};
  }
};

// Never destroyed: error codes may be looked at while static destructors run.
union immortal {
  constexpr immortal() noexcept : value() {}
  ~immortal() {}
  category value;
};
constinit const immortal instance;

}  // namespace

const std::error_category& error_category() noexcept { return instance.value; }

}  // namespace runnel
