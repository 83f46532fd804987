// What others may ask of sysmon.
#pragma once

namespace runnel::runtime {

/// Makes sysmon call dump_and_exit (hooks.hpp). False: there is no sysmon, for the runtime has not
/// started. Async-signal-safe.
bool request_dump() noexcept;

}  // namespace runnel::runtime
