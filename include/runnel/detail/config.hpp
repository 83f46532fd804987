// Compiler and build facts; the only file that defines macros (all RUNNEL_*).
#pragma once

/// The library's version, as major * 10000 + minor * 100 + patch.
#define RUNNEL_VERSION 100

#if defined(__SANITIZE_THREAD__)
#define RUNNEL_TSAN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define RUNNEL_TSAN 1
#endif
#endif
#ifndef RUNNEL_TSAN
#define RUNNEL_TSAN 0
#endif

// Set by the build of the race library, which is itself never instrumented.
#ifndef RUNNEL_RACE
#define RUNNEL_RACE 0
#endif

#define RUNNEL_API __attribute__((visibility("default")))
#define RUNNEL_INLINE __attribute__((always_inline)) inline
#define RUNNEL_NOINLINE __attribute__((noinline))
#define RUNNEL_COLD __attribute__((noinline, cold))

namespace runnel::detail {

/// True where a header may inline a path that synchronises through atomics of the runtime. Under
/// ThreadSanitizer it may not: an instrumented lock of ours would order accesses that Go's memory
/// model leaves unordered, and so hide races.
inline constexpr bool inline_paths = RUNNEL_TSAN == 0 && RUNNEL_RACE == 0;

/// True in code (user's or library's) that is part of a race-detecting program.
inline constexpr bool race_enabled = RUNNEL_TSAN != 0 || RUNNEL_RACE != 0;

}  // namespace runnel::detail
