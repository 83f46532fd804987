// stress [--seconds N] [--procs N] [--seed N]: hammers spawn, channels, select and close, from
// goroutines and plain threads at once, for N seconds (default 10) and checks that nothing is
// lost: every value sent is received exactly once, every goroutine begun ends, every object made
// is destroyed. Without --procs the number of processors changes all the time.
//
// Prints its seed; the same seed makes the same decisions, though not the same schedule. Exit
// status 1 and a line that says what was violated when a check fails.
#include <unistd.h>

#include <array>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <iostream>
#include <memory>
#include <random>
#include <runnel/chan.hpp>
#include <runnel/diag.hpp>
#include <runnel/go.hpp>
#include <runnel/runtime.hpp>
#include <runnel/select.hpp>
#include <runnel/time.hpp>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

using namespace std::chrono_literals;
using runnel::chan;

namespace {

using clock_type = std::chrono::steady_clock;

struct options {
  int seconds = 10;
  int procs = 0;
  std::uint64_t seed = 0;
};

[[noreturn]] void fail(const std::string& what) {
  std::fprintf(stderr, "stress: FAILED: %s\n", what.c_str());
  runnel::dump_goroutines(std::cerr);
  std::cerr.flush();
  ::_exit(1);
}

void require(bool ok, const char* what) {
  if (!ok) fail(what);
}

// splitmix64: one per goroutine, seeded from its parent's, so that decisions follow the seed.
class rng {
 public:
  explicit rng(std::uint64_t seed) : state_(seed) {}
  std::uint64_t next() {
    std::uint64_t z = (state_ += 0x9e3779b97f4a7c15);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    return z ^ (z >> 31);
  }
  unsigned below(unsigned n) { return static_cast<unsigned>(next() % n); }

 private:
  std::uint64_t state_;
};

// What all rounds have done, for the progress line.
struct totals {
  std::atomic<std::uint64_t> rounds{0};
  std::atomic<std::uint64_t> values{0};
  std::atomic<std::uint64_t> goroutines{0};
  std::atomic<std::uint64_t> throws{0};
};
totals total;

// The books of one round. Values are numbers; their sum and count must balance.
struct books {
  std::atomic<std::int64_t> alive{0};    // goroutines and threads of the round
  std::atomic<std::int64_t> objects{0};  // items alive, moved-from shells included
  std::atomic<std::uint64_t> sent{0};
  std::atomic<std::uint64_t> sent_sum{0};
  std::atomic<std::uint64_t> received{0};
  std::atomic<std::uint64_t> received_sum{0};
};

// What travels: counts its objects, knows a check sum of itself.
class item {
 public:
  item(books& b, std::uint64_t v) : books_(&b), value_(v), check_(~v) { ++books_->objects; }
  item(item&& other) noexcept
      : books_(other.books_), value_(other.value_), check_(other.check_), full_(other.full_) {
    other.full_ = false;
    ++books_->objects;
  }
  item& operator=(item&& other) noexcept {
    value_ = other.value_;
    check_ = other.check_;
    full_ = other.full_;
    other.full_ = false;
    return *this;
  }
  ~item() {
    require(check_ == ~value_, "an item was damaged or destroyed twice");
    check_ = 0;
    value_ = 0;
    --books_->objects;
  }
  std::uint64_t value() const {
    require(full_ && check_ == ~value_, "an item without its value was received");
    return value_;
  }

 private:
  books* books_;
  std::uint64_t value_;
  std::uint64_t check_;
  bool full_ = true;
};

// Does something that gives others the chance to run, or not.
void disturb(rng& random) {
  switch (random.below(24)) {
    case 0:
      runnel::yield();
      break;
    case 1:
      runnel::sleep_for(std::chrono::microseconds(random.below(200)));
      break;
    case 2:
      runnel::select(runnel::on_timeout(std::chrono::microseconds(random.below(50))));
      break;
    case 3: {
      if (random.below(8) == 0) {
        runnel::blocking([&] { ::usleep(random.below(300)); });
      }
      break;
    }
    case 4: {
      if (random.below(32) == 0) ::usleep(random.below(500));  // hidden
      break;
    }
    case 5: {
      try {
        throw std::runtime_error("expected");
      } catch (const std::runtime_error&) {
        runnel::yield();
        ++total.throws;
      }
      break;
    }
    default:
      break;
  }
}

// One round: a few channels, senders, receivers and selectors on them, closed under them.
class round_of_chaos {
 public:
  explicit round_of_chaos(std::uint64_t seed) : random_(seed) {
    const unsigned n = 1 + random_.below(4);
    for (unsigned i = 0; i < n; ++i) {
      const unsigned capacities[] = {0, 0, 1, 2, 16, 100};
      channels_.emplace_back(capacities[random_.below(6)]);
    }
  }
  round_of_chaos(const round_of_chaos&) = delete;
  round_of_chaos& operator=(const round_of_chaos&) = delete;

  void run() {
    const unsigned senders = 1 + random_.below(8);
    const unsigned receivers = random_.below(8);
    const unsigned per_sender = 1 + random_.below(200);
    senders_left_ = static_cast<int>(senders);
    for (unsigned i = 0; i < senders; ++i) {
      begin([this, per_sender](rng r) {
        send_values(r, per_sender);
        --senders_left_;
      });
    }
    // Each channel has a receiver, or its senders would wait for ever.
    for (const auto& c : channels_) {
      begin([this, c](rng r) { receive_values(r, c); });
    }
    for (unsigned i = 0; i < receivers; ++i) {
      begin([this](rng r) { receive_values(r, any_channel(r)); });
    }
    begin([this](rng r) { spawn_tree(r, 4); });
    if (random_.below(4) == 0) {
      std::thread([this, r = rng(random_.next()), per_sender]() mutable {
        send_values(r, per_sender);
        --books_.alive;
      }).detach();
      ++books_.alive;
    }
    const bool abrupt = random_.below(2) == 0;
    if (!abrupt)
      wait_until([this] { return senders_left_ == 0; }, "senders do not end");
    else
      runnel::sleep_for(std::chrono::microseconds(random_.below(2000)));
    // Not c.close(), of which the race detector would say, as Go's does, that it races with sends.
    for (const auto& c : channels_) {
      runnel::detail::chan_core::close(runnel::detail::chan_access::core(c));
    }
    wait_until([this] { return books_.alive == 0; }, "goroutines of a round do not end");
    drain();
    settle();
  }

 private:
  template <class F>
  void begin(F f) {
    ++books_.alive;
    ++total.goroutines;
    runnel::go([this, f, seed = random_.next()] {
      f(rng(seed));
      --books_.alive;
    });
  }

  template <class F>
  void wait_until(F done, const char* what) {
    const auto give_up = clock_type::now() + 120s;
    while (!done()) {
      if (clock_type::now() > give_up) fail(what);
      runnel::sleep_for(200us);
    }
  }

  const chan<item>& any_channel(rng& r) {
    return channels_[r.below(static_cast<unsigned>(channels_.size()))];
  }

  void took(std::uint64_t value) {
    ++books_.received;
    books_.received_sum += value;
    ++total.values;
  }

  // Sends one value in one of the ways there are; false if it was not sent.
  bool send_one(rng& r, std::uint64_t value) {
    const chan<item>& c = any_channel(r);
    item it(books_, value);
    switch (r.below(4)) {
      case 0:
        c.send(std::move(it));
        return true;
      case 1:
        return c.try_send(std::move(it)) == runnel::chan_status::ok;
      case 2:
        return runnel::select(runnel::on_send(c, std::move(it)),
                              runnel::on_timeout(std::chrono::microseconds(r.below(100)))) == 0;
      default: {
        const chan<item>& other = any_channel(r);
        item second(books_, value);
        runnel::select(runnel::on_send(c, std::move(it)),
                       runnel::on_send(other, std::move(second)));
        return true;
      }
    }
  }

  void send_values(rng& r, unsigned n) {
    try {
      for (unsigned i = 0; i < n; ++i) {
        const std::uint64_t value = r.next();
        if (send_one(r, value)) {
          ++books_.sent;
          books_.sent_sum += value;
        }
        disturb(r);
      }
    } catch (const runnel::panic& p) {
      require(std::strcmp(p.what(), "send on closed channel") == 0, "an unexpected panic");
    }
  }

  // Until the channel is closed and drained.
  void receive_values(rng& r, const chan<item>& c) {
    for (;;) {
      disturb(r);
      switch (r.below(3)) {
        case 0: {
          const auto v = c.recv();
          if (!v) return;
          took(v->value());
          break;
        }
        case 1: {
          item v(books_, 0);
          const auto status = c.try_recv(v);
          if (status == runnel::chan_status::closed) return;
          if (status == runnel::chan_status::ok) took(v.value());
          break;
        }
        default: {
          bool closed = false;
          runnel::select(runnel::on_recv(c,
                                         [&](std::optional<item> v) {
                                           closed = !v;
                                           if (v) took(v->value());
                                         }),
                         runnel::on_timeout(std::chrono::microseconds(r.below(300))));
          if (closed) return;
        }
      }
    }
  }

  // A tree of goroutines, each waiting for its children.
  void spawn_tree(rng& r, unsigned depth) {
    if (depth == 0) return;
    const chan<void> done;
    const unsigned children = r.below(4);
    for (unsigned i = 0; i < children; ++i) {
      ++total.goroutines;
      runnel::go([this, depth, done, seed = r.next()] {
        rng mine(seed);
        disturb(mine);
        spawn_tree(mine, depth - 1);
        done.send();
      });
    }
    for (unsigned i = 0; i < children; ++i) done.recv();
  }

  // What nobody received is still in the channels' buffers.
  void drain() {
    for (const auto& c : channels_) {
      while (const auto v = c.recv()) took(v->value());
    }
    channels_.clear();
  }

  void settle() {
    require(books_.sent == books_.received, "the numbers of values sent and received differ");
    require(books_.sent_sum == books_.received_sum,
            "the sums of what was sent and received differ");
    require(books_.objects == 0, "items were leaked or destroyed twice");
    ++total.rounds;
  }

  rng random_;
  books books_;
  std::atomic<int> senders_left_{0};
  std::vector<chan<item>> channels_;
};

int number(const char* text, const char* option) {
  char* end = nullptr;
  const long n = std::strtol(text, &end, 10);
  if (*text == '\0' || *end != '\0' || n < 0 || n > 1'000'000) {
    std::fprintf(stderr, "stress: %s wants a number, not %s\n", option, text);
    std::exit(2);
  }
  return static_cast<int>(n);
}

options parse(int argc, char** argv) {
  options o;
  o.seed = std::random_device()() & 0xffffffffU;
  for (int i = 1; i < argc; i += 2) {
    const std::string name = argv[i];
    const char* value = i + 1 < argc ? argv[i + 1] : "";
    if (name == "--seconds")
      o.seconds = number(value, "--seconds");
    else if (name == "--procs")
      o.procs = number(value, "--procs");
    else if (name == "--seed")
      o.seed = std::strtoull(value, nullptr, 10);
    else {
      std::fputs("usage: stress [--seconds N] [--procs N] [--seed N]\n",
                 name == "--help" ? stdout : stderr);
      std::exit(name == "--help" ? 0 : 2);
    }
  }
  return o;
}

// Rounds one after the other until the time is over; several of these run side by side.
void rounds_until(clock_type::time_point end, std::uint64_t seed) {
  rng random(seed);
  while (clock_type::now() < end) {
    const auto round = std::make_unique<round_of_chaos>(random.next());
    round->run();
  }
}

}  // namespace

int main(int argc, char** argv) {
  const options o = parse(argc, argv);
  std::printf("stress: --seconds %d --procs %d --seed %llu\n", o.seconds, o.procs,
              static_cast<unsigned long long>(o.seed));
  std::fflush(stdout);
  if (o.procs > 0) runnel::max_procs(o.procs);
  const auto end = clock_type::now() + std::chrono::seconds(o.seconds);
  constexpr int lanes = 4;
  const chan<void> lane_done;
  rng random(o.seed);
  for (int i = 0; i < lanes; ++i) {
    runnel::go([end, lane_done, seed = random.next()] {
      rounds_until(end, seed);
      lane_done.send();
    });
  }
  // One lane on a plain thread.
  std::thread plain([end, seed = random.next()] { rounds_until(end, seed); });
  for (int finished = 0; finished < lanes;) {
    if (runnel::select(runnel::on_recv(lane_done), runnel::on_timeout(50ms)) == 0) ++finished;
    if (o.procs == 0) runnel::max_procs(1 + static_cast<int>(random.below(8)));
  }
  plain.join();
  for (int i = 0; i < 1000 && runnel::num_goroutine() > 0; ++i) runnel::sleep_for(10ms);
  require(runnel::num_goroutine() == 0, "goroutines are left at the end");
  std::printf(
      "stress: %llu rounds, %llu goroutines, %llu values, %llu exceptions: all accounted for\n",
      static_cast<unsigned long long>(total.rounds),
      static_cast<unsigned long long>(total.goroutines),
      static_cast<unsigned long long>(total.values), static_cast<unsigned long long>(total.throws));
}
