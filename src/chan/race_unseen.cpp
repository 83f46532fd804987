// See race_unseen in detail/chan_ops.hpp. Race build only.
#include <runnel/detail/chan_ops.hpp>

#if RUNNEL_RACE

#include "chan/race_tokens.hpp"

namespace runnel::detail {

race_unseen::race_unseen() noexcept {
  if (&AnnotateIgnoreReadsBegin == nullptr) return;
  AnnotateIgnoreReadsBegin(__FILE__, __LINE__);
  AnnotateIgnoreWritesBegin(__FILE__, __LINE__);
  AnnotateIgnoreSyncBegin(__FILE__, __LINE__);
}

race_unseen::~race_unseen() {
  if (&AnnotateIgnoreReadsEnd == nullptr) return;
  AnnotateIgnoreSyncEnd(__FILE__, __LINE__);
  AnnotateIgnoreWritesEnd(__FILE__, __LINE__);
  AnnotateIgnoreReadsEnd(__FILE__, __LINE__);
}

}  // namespace runnel::detail

#endif
