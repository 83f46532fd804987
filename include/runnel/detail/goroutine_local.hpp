// Storage behind goroutine_local<T>: a short list of values per goroutine (or plain thread).
#pragma once

#include <runnel/detail/config.hpp>

namespace runnel::detail {

/// The caller's value for `key`, or null.
RUNNEL_API void* find_local(const void* key) noexcept;
/// Makes `value` the caller's for `key`; destroy(value) runs when the goroutine or thread ends, in
/// reverse order of making. Throws std::bad_alloc.
RUNNEL_API void add_local(const void* key, void* value, void (*destroy)(void*));

}  // namespace runnel::detail
