// A deadlock in a static constructor, before main has begun (Go: InitDeadlock).
#include <runnel/chan.hpp>

namespace {
const bool initialised = runnel::chan<bool>().recv().has_value();
}

int main() { return initialised ? 3 : 4; }
