// goroutine_local's values at the end of their goroutine or thread.
#pragma once

namespace runnel::detail {
struct local_slot;
}

namespace runnel::runtime {

/// Destroys all values, last made first; what a destructor makes anew is destroyed too.
void destroy_locals(detail::local_slot*& first) noexcept;

}  // namespace runnel::runtime
