#include "sync/spin.hpp"

#include "runtime/goroutine.hpp"
#include "runtime/machine.hpp"

namespace runnel::detail {

// Control blocks and thread records are recycled but never unmapped, so that an old pointer can be
// looked at; at worst it tells of a successor.
bool is_running(const parker* who) noexcept {
  if (who == nullptr) return false;
  if (who->what == parker::kind::thread) {
    const auto* m = static_cast<const runtime::machine*>(static_cast<const thread*>(who));
    return m->reason.load(std::memory_order_relaxed) == wait_reason::none;
  }
  return static_cast<const goroutine*>(who)->on_cpu.load(std::memory_order_relaxed) != nullptr;
}

}  // namespace runnel::detail
