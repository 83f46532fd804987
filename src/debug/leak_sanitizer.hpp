#pragma once

namespace runnel::debug {

/// Sees to it that what abandoned goroutines own is not reported as leaked at exit. Once.
void show_stacks_to_leak_sanitizer() noexcept;

}  // namespace runnel::debug
