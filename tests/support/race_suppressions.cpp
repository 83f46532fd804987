// What ThreadSanitizer reports of the tests although it is no race. Only in a program that is
// instrumented.
#include "test.hpp"

#if RUNNEL_TEST_TSAN

extern "C" const char* __tsan_default_suppressions();

// libstdc++.so counts the references to an exception object and to the text of a standard
// exception with atomics that ThreadSanitizer does not see, being inside that library; so whoever
// frees one after another thread has looked at it seems to race with that thread. True of
// std::exception_ptr between two std::threads as well.
extern "C" const char* __tsan_default_suppressions() { return "called_from_lib:libstdc++.so\n"; }

#endif
