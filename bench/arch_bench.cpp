// The context switch alone, without a scheduler: two contexts that switch to each other.
#include <cstdint>
#include <vector>

#include "arch/switch.hpp"
#include "harness.hpp"

namespace bench {
namespace {

using runnel::arch::context;
using runnel::arch::switch_context;

struct two_contexts {
  context here;
  context there;
  void* released = nullptr;
};

two_contexts* contexts;

[[noreturn]] void answer() {
  for (;;) switch_context(&contexts->there, &contexts->here, &contexts->released);
}

const row context_switch{"ContextSwitch", [](run& r) {
                           std::vector<std::byte> stack(64 << 10);
                           two_contexts pair;
                           contexts = &pair;
                           const auto top =
                               reinterpret_cast<std::uintptr_t>(stack.data() + stack.size());
                           // A function expects the stack as a call leaves it: a return address
                           // below a multiple of 16.
                           pair.there.sp = top / 16 * 16 - sizeof(void*);
                           pair.there.pc = reinterpret_cast<std::uintptr_t>(&answer);
                           r.reset_timer();
                           for (std::int64_t i = 0; i < r.n(); i += 2) {
                             switch_context(&pair.here, &pair.there, &pair.released);
                           }
                         }};

}  // namespace
}  // namespace bench
