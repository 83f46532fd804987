// The fixture: one object per (body, max_procs, place), made by GoogleTest when its turn comes.
#include "test.hpp"

#include <runnel/time.hpp>
#include <sstream>
#include <thread>

namespace runnel_test {
namespace {

class fixture : public ::testing::Test {
 public:
  fixture(void (*body)(), int procs, place where) : body_(body), procs_(procs), where_(where) {}

 private:
  void SetUp() override {
    goroutines_before_ = runnel::num_goroutine();
    procs_before_ = runnel::max_procs(procs_);
  }

  void TestBody() override {
    if (where_ == place::goroutine) {
      runnel::run(body_);
    } else {
      body_();
    }
  }

  void TearDown() override {
    // Goroutines that have done their work may still be on the way out; those that are stuck
    // stay for ever. Whoever is left over is reported here, not in the next test.
    const bool gone = eventually([&] { return runnel::num_goroutine() <= goroutines_before_; },
                                 patience(std::chrono::seconds(5)));
    if (!gone) {
      ADD_FAILURE() << "leaked goroutines: " << runnel::num_goroutine() << " alive, "
                    << goroutines_before_ << " before the test\n"
                    << goroutine_dump();
    }
    runnel::max_procs(procs_before_);
  }

  void (*body_)();
  int procs_;
  place where_;
  std::size_t goroutines_before_ = 0;
  int procs_before_ = 0;
};

void add_one(const char* suite, const std::string& name, const char* file, int line, void (*body)(),
             int procs, place where) {
  ::testing::RegisterTest(suite, name.c_str(), nullptr, nullptr, file, line,
                          [=]() -> fixture* { return new fixture(body, procs, where); });
}

}  // namespace

bool add_test(const char* suite, const char* name, const char* file, int line, void (*body)(),
              place where) {
  for (const int procs : {1, 2, 8}) {
    const std::string base = std::string(name) + "/p" + std::to_string(procs);
    if (where != place::thread) {
      add_one(suite, base, file, line, body, procs, place::goroutine);
    }
    if (where != place::goroutine) {
      add_one(suite, base + "_thread", file, line, body, procs, place::thread);
    }
  }
  return true;
}

std::chrono::milliseconds patience(std::chrono::milliseconds normal) {
  return under_sanitizer ? normal * 5 : normal;
}

bool eventually(const std::function<bool()>& cond, std::chrono::milliseconds limit) {
  const auto end = std::chrono::steady_clock::now() + limit;
  auto pause = std::chrono::microseconds(50);
  while (!cond()) {
    if (std::chrono::steady_clock::now() > end) return cond();
    runnel::sleep_for(pause);
    pause = std::min(pause * 2, std::chrono::microseconds(5000));
  }
  return true;
}

std::string panic_text(const std::function<void()>& f) {
  try {
    f();
  } catch (const runnel::panic& p) {
    return p.what();
  }
  return "no panic";
}

void let_others_run() {
  for (int i = 0; i < 20; ++i) runnel::yield();
  runnel::sleep_for(std::chrono::milliseconds(2));
  for (int i = 0; i < 20; ++i) runnel::yield();
}

std::string goroutine_dump() {
  std::ostringstream out;
  runnel::dump_goroutines(out);
  return out.str();
}

}  // namespace runnel_test
