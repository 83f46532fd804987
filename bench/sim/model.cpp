#include "model.hpp"

#include <algorithm>
#include <stdexcept>
#include <utility>

namespace sim {
namespace {

constexpr std::size_t next_help_from = 4;  // as in src/runtime/processor.hpp

}  // namespace

policy policy_named(const std::string& name) {
  // Go: every `ready` and every `go` wakes an idle processor unless one searches; run-next may be
  // stolen in the last of four rounds, if it is still the same after a nap (usleep(3)). Whoever
  // stops searching wakes the next searcher.
  if (name == "go") return {name, true, 0, true, false, 0, 4, 0, true, false, 61, false, false};
  // tokio: the LIFO slot wakes nobody, is never stolen and is used three times in a row; one round,
  // then the worker parks.
  if (name == "tokio")
    return {name, false, -1, false, false, 3, 1, 0, true, false, 61, false, false};
  // runnel: run-next wakes nobody and is safe while its processor makes progress; 50 us of search;
  // a searcher that found work wakes another only if it left some; the thief pays a barrier, the
  // owner of a queue no locked instruction; what did not fit into a queue is taken newest first;
  // short thefts make shy.
  const policy ours{name, false, 20000, false, true, 64, 0, 50000, false, true, 61, true, true};
  if (name == "runnel") return ours;
  // What-ifs: whoever found work wakes the next searcher, as in Go; queues whose owner takes by
  // compare-and-swap, so that no thief needs a barrier; a global queue that is first in, first out.
  policy other = ours;
  if (name == "runnel-wake") {
    other.found_wakes = true;
    return other;
  }
  if (name == "runnel-cas") {
    other.steal_barrier = false;
    return other;
  }
  if (name == "runnel-fifo") {
    other.newest_first = false;
    return other;
  }
  throw std::invalid_argument("no policy is called " + name);
}

machine::machine(int procs, policy p, costs c, workload& w, std::uint64_t seed)
    : policy_(std::move(p)),
      costs_(c),
      work_(w),
      procs_(static_cast<std::size_t>(procs)),
      random_(seed) {
  asleep_ = procs - 1;
}

outcome machine::run() {
  begin(0, 0);
  while (!over_ && !events_.empty()) {
    const event e = events_.top();
    events_.pop();
    now_ = e.at;
    processor& p = procs_[static_cast<std::size_t>(e.who)];
    if (p.delay > 0) {  // interrupted meanwhile: the step takes that much longer
      const nanoseconds delay = p.delay;
      p.delay = 0;
      at(now_ + delay, e.who);
      continue;
    }
    switch (p.now) {
      case state::running:
        finish_step(e.who);
        break;
      case state::waking:
        --asleep_;
        p.now = state::searching;
        p.rounds = 0;
        p.search_until = now_ + policy_.search_time;
        begin_round(p);
        search(e.who);
        break;
      case state::searching:
        search(e.who);
        break;
      case state::asleep:
        break;
    }
  }
  if (!over_) throw std::runtime_error("all goroutines are asleep in the model");
  outcome_.time = now_;
  for (const processor& p : procs_)
    outcome_.busy += p.busy / now_ / static_cast<double>(procs_.size());
  return outcome_;
}

/// One may be readied before it is spawned: its channel was there before it.
void machine::know(std::uint32_t g) {
  if (g < last_on_.size()) return;
  last_on_.resize(g + std::size_t{1}, -1);
  parked_.resize(last_on_.size(), 0);
}

void machine::begin(int who, std::uint32_t g) {
  processor& p = procs_[static_cast<std::size_t>(who)];
  know(g);
  p.now = state::running;
  p.current = g;
  p.doing = work_.next(g);
  nanoseconds work = p.doing.work;
  if (last_on_[g] >= 0 && last_on_[g] != who) work += costs_.line;
  last_on_[g] = who;
  p.busy += work;
  at(now_ + work, who);
}

/// The operation at the end of a step happens now; what it costs delays the next step.
void machine::finish_step(int who) {
  processor& p = procs_[static_cast<std::size_t>(who)];
  const std::uint32_t g = p.current;
  const step done = p.doing;
  nanoseconds spent = 0;
  switch (done.what) {
    case step::kind::spawn:
      know(done.target);
      last_on_[done.target] = who;
      outcome_.most_alive = std::max(outcome_.most_alive, ++alive_);
      spent = costs_.spawn + enqueue(who, done.target, true);
      break;
    case step::kind::ready:
      spent = costs_.ready;
      know(done.target);
      if (parked_[done.target] == 1) {
        parked_[done.target] = 0;
        spent += enqueue(who, done.target, true);
      } else {
        parked_[done.target] = 2;
      }
      break;
    case step::kind::park:
      if (parked_[g] == 2) {
        parked_[g] = 0;
        break;
      }
      parked_[g] = 1;
      return find_work(who, costs_.pick);
    case step::kind::yield:
      p.queue.push_back(g);
      return find_work(who, costs_.pick);
    case step::kind::end:
      --alive_;
      if (g == 0) over_ = true;
      return find_work(who, costs_.pick);
  }
  p.doing = work_.next(g);
  p.busy += p.doing.work + std::min(spent, costs_.spawn);
  at(now_ + spent + p.doing.work, who);
}

nanoseconds machine::enqueue(int who, std::uint32_t g, bool as_next) {
  processor& p = procs_[static_cast<std::size_t>(who)];
  bool queued = true;
  if (as_next) {
    std::swap(p.next, g);
    p.next_since = now_;
    queued = g != none;
  }
  nanoseconds spent = 0;
  if (queued) {
    if (p.queue.size() >= ring_size) {
      for (std::size_t i = 0; i < ring_size / 2; ++i) {
        global_.push_back(p.queue.front());
        p.queue.pop_front();
      }
      spent += global_access();
    }
    p.queue.push_back(g);
  }
  const bool tells = queued || (policy_.next_tells && !p.queue.empty());
  if ((tells && p.queue.size() >= help_from(p)) || policy_.next_wakes) spent += wake_one();
  return spent;
}

/// Wakes one sleeper unless somebody searches already. It counts as searching from here on.
nanoseconds machine::wake_one() {
  if (searching_ != 0 || asleep_ == 0) return 0;
  for (std::size_t i = 0; i < procs_.size(); ++i) {
    processor& p = procs_[i];
    if (p.now != state::asleep) continue;
    p.now = state::waking;
    ++searching_;
    ++outcome_.wakeups;
    at(now_ + costs_.wake_delay, static_cast<int>(i));
    return costs_.wake;
  }
  return 0;
}

/// The lock of the global queue serves one after the other.
nanoseconds machine::global_access() {
  const nanoseconds start = std::max(now_, global_free_);
  global_free_ = start + costs_.global + costs_.line;
  return global_free_ - now_;
}

bool machine::take_global(int who, bool oldest, std::uint32_t& g) {
  if (global_.empty()) return false;
  processor& p = procs_[static_cast<std::size_t>(who)];
  const auto take = [&] {
    const std::uint32_t one = oldest ? global_.front() : global_.back();
    oldest ? global_.pop_front() : global_.pop_back();
    return one;
  };
  g = take();
  const std::size_t share =
      std::min({global_.size(), global_.size() / procs_.size(), ring_size / 2});
  for (std::size_t i = 0; i < share; ++i) p.queue.push_back(take());
  return true;
}

/// The length from which on p's queue is helped with, which is tried from the start every 10 ms.
std::size_t machine::help_from(processor& p) const {
  constexpr nanoseconds shy_for = 10e6;
  if (now_ - p.shy_since > shy_for) p.help_from = 1;
  return p.help_from;
}

/// The thief is out of work: what it stole last was worth it, or not.
void machine::judge_last_theft(processor& thief) {
  constexpr nanoseconds shortest_worth = 20e3;
  constexpr nanoseconds longest_worth = 200e3;
  constexpr std::size_t crowd = 128;
  processor* victim = std::exchange(thief.robbed, nullptr);
  if (victim == nullptr || !policy_.shy) return;
  if (victim->help_from == 1) victim->shy_since = now_;
  const bool bounced =
      now_ - thief.robbed_at < std::clamp(2 * thief.theft_cost, shortest_worth, longest_worth);
  victim->help_from = bounced ? std::min(victim->help_from * 2, crowd)
                              : std::max<std::size_t>(victim->help_from / 2, 1);
}

void machine::find_work(int who, nanoseconds spent) {
  if (over_) return;
  processor& p = procs_[static_cast<std::size_t>(who)];
  std::uint32_t g = none;
  const bool global_first = ++p.picks % policy_.global_interval == 0;
  if (global_first && !global_.empty()) {
    spent += global_access();
    if (policy_.newest_first) {
      g = global_.back();
      global_.pop_back();
    } else {
      g = global_.front();
      global_.pop_front();
    }
  } else if (p.next != none &&
             (policy_.next_streak == 0 || p.queue.empty() || ++p.streak < policy_.next_streak)) {
    std::swap(g, p.next);
  } else if (!p.queue.empty()) {
    p.streak = 0;
    g = p.queue.front();
    p.queue.pop_front();
  } else if (!global_.empty()) {
    spent += global_access();
    take_global(who, !policy_.newest_first, g);
  }
  if (g != none) {
    now_ += spent;
    begin(who, g);
    now_ -= spent;
    return;
  }
  p.current = none;
  judge_last_theft(p);
  const int busy = static_cast<int>(procs_.size()) - asleep_;
  if (2 * searching_ < busy) {
    ++searching_;
    start_search(who);
  } else {
    go_to_sleep(who);
  }
}

void machine::start_search(int who) {
  processor& p = procs_[static_cast<std::size_t>(who)];
  p.now = state::searching;
  p.rounds = 0;
  p.search_until = now_ + policy_.search_time;
  begin_round(p);
  at(now_ + costs_.pick, who);
}

void machine::begin_round(processor& p) {
  p.round_start = random_() % procs_.size();
  p.visited = 0;
  p.coveted = none;
}

/// One round over all victims from a random one on, or what a nap has left of it.
void machine::search(int who) {
  if (over_) return;
  processor& p = procs_[static_cast<std::size_t>(who)];
  const auto n = procs_.size();
  nanoseconds spent = 0;
  std::uint32_t g = none;
  for (; p.visited < n && g == none; ++p.visited) {
    processor& victim = procs_[(p.round_start + p.visited) % n];
    if (&victim == &p) continue;
    // Lines that nobody wrote since the last round are still here: only busy victims cost a
    // transfer.
    spent += victim.now == state::running ? costs_.line / 2 : 1;
    if (naps_for_next(p, victim)) {
      at(now_ + spent + costs_.nap, who);
      return;
    }
    steal(who, victim, g, spent);
  }
  if (g == none && !global_.empty()) {
    spent += global_access();
    take_global(who, true, g);
  }
  ++p.rounds;
  if (g != none) {
    stop_search(who, spent);
    now_ += spent;
    begin(who, g);
    now_ -= spent;
    return;
  }
  const bool tired =
      policy_.search_rounds != 0 ? p.rounds >= policy_.search_rounds : now_ >= p.search_until;
  if (!tired) {
    begin_round(p);
    at(now_ + spent + 50, who);
    return;
  }
  --searching_;
  go_to_sleep(who);
}

bool machine::last_round(const processor& p) const {
  return policy_.search_rounds == 0 || p.rounds + 1 == policy_.search_rounds;
}

/// Naps once for each goroutine that it sees in the slot.
bool machine::naps_for_next(processor& thief, const processor& victim) const {
  return policy_.next_nap && last_round(thief) && victim.now == state::running &&
         victim.queue.empty() && victim.next != none &&
         std::exchange(thief.coveted, victim.next) != victim.next;
}

bool machine::next_is_ripe(const processor& thief, const processor& victim) const {
  return policy_.next_patience >= 0 && last_round(thief) && victim.queue.empty() &&
         victim.next != none && now_ - victim.next_since >= policy_.next_patience &&
         victim.help_from < next_help_from;
}

bool machine::steal(int who, processor& victim, std::uint32_t& g, nanoseconds& spent) {
  processor& p = procs_[static_cast<std::size_t>(who)];
  const bool next_ripe = next_is_ripe(p, victim);
  if (victim.queue.size() < help_from(victim) && !next_ripe) return false;
  spent += 2 * costs_.line;
  if (policy_.steal_barrier) {
    const double running = static_cast<double>(procs_.size()) - asleep_ - 1;
    spent += costs_.barrier + costs_.barrier_each * running;
    for (processor& other : procs_) {
      if (&other != &p && other.now == state::running) other.delay += costs_.interrupted;
    }
  }
  if (next_ripe) {
    g = victim.next;
    victim.next = none;
  } else {
    const std::size_t half = (victim.queue.size() + 1) / 2;
    g = victim.queue.front();
    victim.queue.pop_front();
    for (std::size_t i = 1; i < half; ++i) {
      p.queue.push_back(victim.queue.front());
      victim.queue.pop_front();
    }
    outcome_.stolen += half;
  }
  ++outcome_.steals;
  p.robbed = &victim;
  p.robbed_at = now_ + spent;
  p.theft_cost = spent * std::max(static_cast<double>(procs_.size()) - asleep_ - 1, 1.0);
  return true;
}

/// Found work: lets somebody else search.
void machine::stop_search(int who, nanoseconds& spent) {
  --searching_;
  const processor& p = procs_[static_cast<std::size_t>(who)];
  if (policy_.found_wakes || !p.queue.empty() || !global_.empty()) spent += wake_one();
}

/// Publishes that it is idle, looks once more, sleeps.
void machine::go_to_sleep(int who) {
  processor& p = procs_[static_cast<std::size_t>(who)];
  const bool work_left =
      !global_.empty() || std::any_of(procs_.begin(), procs_.end(),
                                      [](const processor& other) { return !other.queue.empty(); });
  if (work_left && searching_ == 0) {
    ++searching_;
    start_search(who);
    return;
  }
  p.now = state::asleep;
  ++asleep_;
}

}  // namespace sim
