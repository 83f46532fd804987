// Reports about a program that goes on.
#pragma once

#include <cstdint>
#include <string>

#include "debug/snapshot.hpp"

namespace runnel::debug {

/// The caller if `with_caller`, then the rest of what is selected, as text.
std::string report_of(selection which, bool with_caller);

}  // namespace runnel::debug
