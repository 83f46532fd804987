// The context switch alone, without a scheduler: two contexts that switch to each other. They lie
// at constant addresses: through a pointer the compiler has to spill it around the switch, which
// clobbers every register, and the row would measure that reload from the stack just changed to
// (Ice Lake: 2.4 ns a switch instead of 1.4).
#include <cstdint>
#include <vector>

#include "arch/switch.hpp"
#include "harness.hpp"

namespace bench {
namespace {

using runnel::arch::context;
using runnel::arch::switch_context;

struct two_contexts {
  alignas(64) context here;
  alignas(64) context there;
  alignas(64) void* released = nullptr;
};

two_contexts pair;

[[noreturn]] void answer() {
  for (;;) switch_context(&pair.there, &pair.here, &pair.released, nullptr);
}

const row context_switch{"ContextSwitch", [](run& r) {
                           std::vector<std::byte> stack(64 << 10);
                           const auto top =
                               reinterpret_cast<std::uintptr_t>(stack.data() + stack.size());
                           // A function expects the stack as a call leaves it: a return address
                           // below a multiple of 16.
                           pair.there.sp = top / 16 * 16 - sizeof(void*);
                           pair.there.pc = reinterpret_cast<std::uintptr_t>(&answer);
                           r.reset_timer();
                           for (std::int64_t i = 0; i < r.n(); i += 2) {
                             switch_context(&pair.here, &pair.there, &pair.released, nullptr);
                           }
                         }};

}  // namespace
}  // namespace bench
