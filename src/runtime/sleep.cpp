#include <runnel/detail/park.hpp>

namespace runnel::detail {

void sleep_until_steady(steady_time t) {
  // In no queue: only the deadline can win the claim.
  claim_word claim;
  waiter w;
  w.who = self();
  w.claim = &claim;
  park_until(wait_reason::sleep, w, t);
}

}  // namespace runnel::detail
