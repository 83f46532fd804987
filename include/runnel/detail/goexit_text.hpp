// What those get who wait for a function that ended by goexit.
#pragma once

namespace runnel::detail {

inline constexpr const char* goexit_text = "goexit called in a goroutine that was waited for";

}  // namespace runnel::detail
