// Instrumented values for tests: they know who made them and notice what becomes of them.
#pragma once

#include <atomic>
#include <cstdint>
#include <stdexcept>
#include <utility>

namespace runnel_test {

// What has happened to the values that name it. Must outlive them. Any thread.
struct ledger {
  std::atomic<int> objects{0};    // objects alive, moved-from ones included
  std::atomic<int> values{0};     // objects alive that hold a value
  std::atomic<int> copies{0};     // copies made
  std::atomic<int> destroyed{0};  // values (not moved-from shells) destroyed
  std::atomic<int> errors{0};     // uses of an object that does not exist (any more)
};

// A value that can be moved only. Every object checks that it is alive when it is used.
class tracked {
 public:
  tracked(ledger& owner, int value) : owner_(&owner), value_(value), has_value_(true) {
    ++owner_->objects;
    ++owner_->values;
  }
  tracked(tracked&& other) noexcept
      : owner_(other.checked().owner_),
        value_(other.value_),
        has_value_(std::exchange(other.has_value_, false)) {
    ++owner_->objects;
  }
  tracked& operator=(tracked&& other) noexcept {
    if (&checked() == &other.checked()) return *this;
    drop_value();
    owner_ = other.owner_;
    value_ = other.value_;
    has_value_ = std::exchange(other.has_value_, false);
    return *this;
  }
  ~tracked() {
    checked().drop_value();
    --owner_->objects;
    alive_ = dead;
  }
  int value() const { return checked().value_; }
  bool has_value() const { return checked().has_value_; }

 private:
  static constexpr std::uint32_t living = 0x600dbeef;
  static constexpr std::uint32_t dead = 0xdeadbeef;

  // An object that is not there any more may still be readable: that is what this is for.
  const tracked& checked() const {
    if (alive_ != living) ++owner_->errors;
    return *this;
  }
  tracked& checked() {
    if (alive_ != living) ++owner_->errors;
    return *this;
  }
  void drop_value() {
    if (!has_value_) return;
    --owner_->values;
    ++owner_->destroyed;
    has_value_ = false;
  }

  ledger* owner_;
  volatile std::uint32_t alive_ = living;  // volatile: the store in the destructor must happen
  int value_;
  bool has_value_;
};

// Moving it throws while `fuse` is positive and reaches zero with that move; copying is not
// possible. Two values of it are alive at most where one was.
class throwing_move {
 public:
  throwing_move(ledger& owner, std::atomic<int>& fuse, int value)
      : fuse_(&fuse), inner_(owner, value) {}
  throwing_move(throwing_move&& other) : fuse_(other.fuse_), inner_(other.burn()) {}
  throwing_move& operator=(throwing_move&& other) {
    inner_ = other.burn();
    fuse_ = other.fuse_;
    return *this;
  }
  ~throwing_move() = default;
  int value() const { return inner_.value(); }
  bool has_value() const { return inner_.has_value(); }

 private:
  tracked&& burn() {
    if (fuse_->load() > 0 && fuse_->fetch_sub(1) == 1) throw std::runtime_error("move failed");
    return std::move(inner_);
  }

  std::atomic<int>* fuse_;
  tracked inner_;
};

}  // namespace runnel_test
