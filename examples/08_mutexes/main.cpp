// Mutexes: one at a time, many readers at a time, and two locks at once without a deadlock.
#include <atomic>
#include <iostream>
#include <map>
#include <mutex>
#include <runnel/runnel.hpp>
#include <shared_mutex>
#include <string>
#include <string_view>

// The mutex lives beside what it guards, and no member function lets the data out unguarded.
class counter {
 public:
  void increment() {
    const std::lock_guard lock(mutex_);
    ++value_;
  }
  int value() const {
    const std::lock_guard lock(mutex_);
    return value_;
  }

 private:
  mutable runnel::mutex mutex_;
  int value_ = 0;
};

class phone_book {
 public:
  void store(const std::string& name, int number) {
    const std::lock_guard lock(mutex_);  // alone
    numbers_[name] = number;
  }
  bool knows(const std::string& name) const {
    const std::shared_lock lock(mutex_);  // together with other readers
    return numbers_.count(name) > 0;
  }

 private:
  mutable runnel::shared_mutex mutex_;
  std::map<std::string, int> numbers_;
};

struct account {
  runnel::mutex mutex;
  int euros = 100;
};

void transfer(account& from, account& to, int euros) {
  const std::scoped_lock lock(from.mutex, to.mutex);  // takes both in whatever order is safe
  from.euros -= euros;
  to.euros += euros;
}

// The mistake: each holds one lock and waits for the other's.
void lock_in_two_orders() {
  runnel::mutex a, b;
  runnel::wait_group wg, both_hold_one;
  both_hold_one.add(2);
  const auto take = [&](runnel::mutex& first, runnel::mutex& second) {
    const std::lock_guard hold(first);
    both_hold_one.done();
    both_hold_one.wait();
    const std::lock_guard want(second);
  };
  wg.go([&] { take(a, b); });
  wg.go([&] { take(b, a); });
  wg.wait();
}

int main(int argc, char** argv) {
  if (argc > 1 && argv[1] == std::string_view("--mistake")) lock_in_two_orders();
  counter counted;
  phone_book book;
  account anna, bert;
  std::atomic<int> found = 0;
  book.store("anna", 4711);

  runnel::wait_group wg;
  for (int g = 0; g < 8; ++g) {
    wg.go([&, g] {
      for (int i = 0; i < 1000; ++i) {
        counted.increment();
        found += book.knows("anna") ? 1 : 0;
        g % 2 == 0 ? transfer(anna, bert, 1) : transfer(bert, anna, 1);
      }
    });
  }
  wg.wait();
  std::cout << "counted: " << counted.value() << '\n';
  std::cout << "found: " << found << '\n';
  std::cout << "anna has " << anna.euros << ", bert has " << bert.euros << '\n';
}
