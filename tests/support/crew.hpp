// A handful of goroutines that are waited for, built from nothing but `go` and a channel, so
// that tests of those two need no wait_group.
#pragma once

#include <atomic>
#include <runnel/chan.hpp>
#include <runnel/go.hpp>
#include <utility>

#include "test.hpp"

namespace runnel_test {

// Begins goroutines and waits for all of them, at the latest in its destructor: a test that
// gives up half-way then leaves nothing behind that uses its locals. One owner.
class crew {
 public:
  crew() = default;
  crew(const crew&) = delete;
  crew& operator=(const crew&) = delete;
  ~crew() { wait(); }

  template <class F>
  void go(F f) {
    ++begun_;
    runnel::go([done = done_, f = std::move(f)]() mutable {
      f();
      done.send();
    });
  }

  void wait() {
    for (; begun_ > 0; --begun_) done_.recv();
  }

 private:
  runnel::chan<void> done_;
  int begun_ = 0;
};

// Closes a channel that others may be sending to just now. Of c.close() the race detector would,
// as Go's does, report that it races with the sends; here that is what is tested.
template <class C>
void close_under_senders(const C& c) {
  runnel::detail::chan_core::close(runnel::detail::chan_access::core(c));
}

// As crew, but any goroutine of it may begin more; the destructor polls until none is left.
class swarm {
 public:
  swarm() = default;
  swarm(const swarm&) = delete;
  swarm& operator=(const swarm&) = delete;
  ~swarm() { EXPECT_TRUE(wait()) << "goroutines of a swarm do not end"; }

  template <class F>
  void go(F f) {
    ++alive_;
    runnel::go([this, f = std::move(f)]() mutable {
      f();
      --alive_;
    });
  }

  bool wait() {
    return eventually([this] { return alive_ == 0; });
  }

 private:
  std::atomic<int> alive_{0};
};

}  // namespace runnel_test
