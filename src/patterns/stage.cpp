#include <new>
#include <runnel/detail/stage.hpp>

namespace runnel::detail {

stage_core::stage_core(chan_core* c, const context& ctx)
    : channel_(c), source_(ctx), scope_(with_cancel(ctx)) {}

chan_core* stage_core::make(const element_ops& ops, const context& ctx) {
  chan_core* c = chan_core::make(ops, 0);
  try {
    ::new (c->extra()) stage_core(c, ctx);
  } catch (...) {
    c->free();
    throw;
  }
  return c;
}

stage_core* stage_core::of(chan_core* c) noexcept {
  return c == nullptr ? nullptr : static_cast<stage_core*>(c->extra_of(&retire));
}

bool stage_core::retire(void* extra) noexcept {
  auto* stage = static_cast<stage_core*>(extra);
  if (stage->abandoned_.exchange(true, std::memory_order_relaxed)) return false;
  stage->scope_.cancel();
  return stage->drop_stake();
}

/// True if it was the last; then the stage is over and its channel may go.
bool stage_core::drop_stake() noexcept {
  race_release_merge(&stakes_);
  if (stakes_.fetch_sub(1, std::memory_order_acq_rel) != 1) return false;
  race_acquire(&stakes_);
  this->~stage_core();
  return true;
}

void stage_core::drop_producer() noexcept {
  race_release_merge(&producers_);
  if (producers_.fetch_sub(1, std::memory_order_acq_rel) != 1) return;
  race_acquire(&producers_);
  chan_core* c = channel_;
  chan_core::close(c);
  if (drop_stake()) c->free();
}

void stage_core::fail(std::exception_ptr error) noexcept {
  if (failed_.exchange(true, std::memory_order_relaxed)) return;
  error_ = std::move(error);
  scope_.cancel();
}

}  // namespace runnel::detail
