// runnel_sim POLICY PROCS PROGRAM WORK [COST=VALUE...]
//     one run of the model: a line of names and values
// runnel_sim --measure
//     the costs of this machine, as COST=VALUE
//
// PROGRAM is one of
// - burst: one goroutine starts 100000 others, each with WORK ns of work, and waits for them;
// - tree: a tree of goroutines, ten children each, five levels, WORK ns of work in each leaf;
// - pairs: four pairs of goroutines that pass messages to and fro, WORK ns of work for each;
// - calls: as many pairs as processors, times four.
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <memory>
#include <stdexcept>
#include <vector>

#include "model.hpp"

namespace sim {
namespace {

class burst : public workload {
 public:
  burst(std::uint32_t n, nanoseconds work) : n_(n), work_(work), left_(n), begun_(n + 1, 0) {}

  step next(std::uint32_t g) override {
    if (g == 0) {
      if (spawned_ < n_) return {0, step::kind::spawn, ++spawned_};
      return {0, left_ == 0 ? step::kind::end : step::kind::park};
    }
    if (begun_[g]++ == 0) {
      return --left_ == 0 ? step{work_, step::kind::ready, 0} : step{work_, step::kind::end};
    }
    return {};
  }
  double operations() const override { return n_; }

 private:
  std::uint32_t n_;
  nanoseconds work_;
  std::uint32_t spawned_ = 0;
  std::uint32_t left_;
  std::vector<char> begun_;
};

class tree : public workload {
 public:
  tree(int levels, nanoseconds work) : work_(work) { nodes_.push_back({levels, 0, none, 0, 0}); }

  step next(std::uint32_t g) override {
    node n = nodes_[g];
    if (n.level > 0 && n.spawned < 10) {
      const auto child = static_cast<std::uint32_t>(nodes_.size());
      ++nodes_[g].spawned;
      ++nodes_[g].left;
      nodes_.push_back({n.level - 1, 0, g, 0, 0});
      return {0, step::kind::spawn, child};
    }
    if (n.level > 0 && n.left > 0) return {0, step::kind::park};
    if (g == 0 || n.ended) return {};
    nodes_[g].ended = 1;
    const nanoseconds work = n.level == 0 ? work_ : 0;
    if (--nodes_[n.parent].left == 0) return {work, step::kind::ready, n.parent};
    return {work, step::kind::end};
  }
  double operations() const override { return static_cast<double>(nodes_.size()); }

 private:
  static constexpr std::uint32_t none = ~std::uint32_t{0};
  struct node {
    int level;
    int spawned;
    std::uint32_t parent;
    int left;
    int ended;
  };
  nanoseconds work_;
  std::vector<node> nodes_;
};

/// Goroutine 0 starts the pairs and waits for them; 2k+1 and 2k+2 are a pair.
class pairs : public workload {
 public:
  pairs(std::uint32_t n, std::uint32_t messages, nanoseconds work)
      : n_(n), messages_(messages), work_(work), left_(2 * n), gs_(2 * n + 1) {}

  step next(std::uint32_t g) override {
    if (g == 0) {
      if (spawned_ < 2 * n_) return {0, step::kind::spawn, ++spawned_};
      return {0, left_ == 0 ? step::kind::end : step::kind::park};
    }
    const std::uint32_t other = (g - 1) % 2 == 0 ? g + 1 : g - 1;
    state& s = gs_[g];
    const bool first = (g - 1) % 2 == 0;
    if (s.messages < messages_) {
      const bool wait = first ? s.phase % 2 == 1 : s.phase % 2 == 0;
      ++s.phase;
      if (s.phase % 2 == 0) ++s.messages;
      return wait ? step{0, step::kind::park} : step{work_, step::kind::ready, other};
    }
    if (s.ended) return {};
    s.ended = true;
    return --left_ == 0 ? step{0, step::kind::ready, 0} : step{};
  }
  double operations() const override { return 2.0 * n_ * messages_; }

 private:
  struct state {
    std::uint32_t messages = 0;
    std::uint32_t phase = 0;
    bool ended = false;
  };
  std::uint32_t n_;
  std::uint32_t messages_;
  nanoseconds work_;
  std::uint32_t spawned_ = 0;
  std::uint32_t left_;
  std::vector<state> gs_;
};

std::unique_ptr<workload> program(const char* name, int procs, nanoseconds work) {
  if (std::strcmp(name, "burst") == 0) return std::make_unique<burst>(100000, work);
  if (std::strcmp(name, "tree") == 0) return std::make_unique<tree>(5, work);
  if (std::strcmp(name, "pairs") == 0) return std::make_unique<pairs>(4, 20000, work);
  if (std::strcmp(name, "calls") == 0) {
    return std::make_unique<pairs>(static_cast<std::uint32_t>(4 * procs), 2000, work);
  }
  throw std::invalid_argument("no program is called " + std::string(name));
}

struct named_cost {
  const char* name;
  nanoseconds costs::*member;
};

constexpr named_cost named_costs[] = {
    {"spawn", &costs::spawn},
    {"ready", &costs::ready},
    {"pick", &costs::pick},
    {"line", &costs::line},
    {"global", &costs::global},
    {"wake", &costs::wake},
    {"wake_delay", &costs::wake_delay},
    {"sleep", &costs::sleep},
    {"nap", &costs::nap},
    {"barrier", &costs::barrier},
    {"barrier_each", &costs::barrier_each},
    {"interrupted", &costs::interrupted},
};

void assign(costs& c, const char* text) {
  const char* equals = std::strchr(text, '=');
  for (const named_cost& known : named_costs) {
    const std::size_t length = std::strlen(known.name);
    if (equals != nullptr && static_cast<std::size_t>(equals - text) == length &&
        std::strncmp(text, known.name, length) == 0) {
      c.*known.member = std::atof(equals + 1);
      return;
    }
  }
  throw std::invalid_argument("no cost is called " + std::string(text));
}

int simulate(int argc, char** argv) {
  if (argc == 2 && std::strcmp(argv[1], "--measure") == 0) {
    const costs c = measured_costs();
    for (const named_cost& known : named_costs)
      std::printf("%s=%.0f\n", known.name, c.*known.member);
    return 0;
  }
  if (argc < 5)
    throw std::invalid_argument("POLICY PROCS PROGRAM WORK [COST=VALUE...], or --measure");
  costs c;
  for (int i = 5; i < argc; ++i) assign(c, argv[i]);
  const int procs = std::atoi(argv[2]);
  if (procs < 1 || procs > 4096) throw std::invalid_argument("PROCS is from 1 to 4096");
  const auto work = program(argv[3], procs, std::atof(argv[4]));
  machine m(procs, policy_named(argv[1]), c, *work, 1);
  const outcome o = m.run();
  std::printf("ns_per_op %.3f steals %llu stolen %llu wakeups %llu most_alive %zu busy %.4f\n",
              o.time / work->operations(), static_cast<unsigned long long>(o.steals),
              static_cast<unsigned long long>(o.stolen), static_cast<unsigned long long>(o.wakeups),
              o.most_alive, o.busy);
  return 0;
}

}  // namespace
}  // namespace sim

int main(int argc, char** argv) {
  try {
    return sim::simulate(argc, argv);
  } catch (const std::exception& e) {
    std::fprintf(stderr, "runnel_sim: %s\n", e.what());
    return 2;
  }
}
