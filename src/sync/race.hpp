// Accesses that stand for a misuse in the eyes of the race detector. Go: race.Read, race.Write.
//
// Some rules of an object ("add from zero comes before wait") are no accesses to memory. Modelling
// the one side as a read and the other as a write of a field makes ThreadSanitizer report the
// misuse like any other race.
#pragma once

#include <runnel/detail/config.hpp>

#if RUNNEL_RACE
extern "C" {
void __tsan_read1(void* address);
void __tsan_write1(void* address);
}
#endif

namespace runnel::detail {

#if RUNNEL_RACE
inline void race_read(void* address) noexcept { __tsan_read1(address); }
inline void race_write(void* address) noexcept { __tsan_write1(address); }
#else
inline void race_read(void*) noexcept {}
inline void race_write(void*) noexcept {}
#endif

}  // namespace runnel::detail
