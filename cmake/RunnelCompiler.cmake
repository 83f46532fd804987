# What is asked of the compiler: which ones will do, the warnings, the sanitizer flags.

if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU" AND CMAKE_CXX_COMPILER_VERSION VERSION_LESS 12)
  message(FATAL_ERROR "runnel needs GCC 12 or newer; this is ${CMAKE_CXX_COMPILER_VERSION}")
elseif(CMAKE_CXX_COMPILER_ID STREQUAL "Clang" AND CMAKE_CXX_COMPILER_VERSION VERSION_LESS 14)
  message(FATAL_ERROR "runnel needs Clang 14 or newer; this is ${CMAKE_CXX_COMPILER_VERSION}")
endif()
if(NOT CMAKE_SYSTEM_NAME STREQUAL "Linux" OR NOT CMAKE_SYSTEM_PROCESSOR MATCHES "^(x86_64|amd64|AMD64|aarch64|arm64)$")
  message(FATAL_ERROR "runnel runs on Linux on x86-64 and AArch64; this is ${CMAKE_SYSTEM_NAME} on ${CMAKE_SYSTEM_PROCESSOR}")
endif()

set(RUNNEL_WARNINGS -Wall -Wextra -Wpedantic -Wshadow -Wconversion)
if(RUNNEL_WERROR)
  list(APPEND RUNNEL_WARNINGS -Werror)
endif()

# What a program that uses a flavor of the library must be compiled and linked with.
set(RUNNEL_FLAGS_race -fsanitize=thread)
set(RUNNEL_FLAGS_address -fsanitize=address,undefined)

# Settings of our own programs (tests, examples, benchmarks), never of a user's.
function(runnel_own_program target)
  target_link_libraries(${target} PRIVATE runnel::runnel)
  target_compile_options(${target} PRIVATE ${RUNNEL_WARNINGS})
  set_target_properties(${target} PROPERTIES CXX_EXTENSIONS OFF)
  if(RUNNEL_SANITIZER STREQUAL "address")
    # With the undefined behaviour sanitizer GCC takes 24 s to optimise tests/unit/select_test.cpp and 11 s to leave it
    # as it is; and what the optimiser makes of the checks it then calls uninitialised.
    target_compile_options(${target} PRIVATE -O0)
  endif()
endfunction()

# ccache makes the second build of a tree, or of the same tree elsewhere, a matter of seconds.
if(PROJECT_IS_TOP_LEVEL AND NOT DEFINED CMAKE_CXX_COMPILER_LAUNCHER)
  find_program(RUNNEL_CCACHE ccache)
  mark_as_advanced(RUNNEL_CCACHE)
  if(RUNNEL_CCACHE)
    # Without the directory in the hash the build directories share what they compile alike; with paths made relative
    # to the tree, so do clones.
    set(CMAKE_CXX_COMPILER_LAUNCHER "${CMAKE_COMMAND};-E;env;CCACHE_NOHASHDIR=1;CCACHE_BASEDIR=${PROJECT_SOURCE_DIR}"
        CCACHE_ABSSTDERR=1 CCACHE_SLOPPINESS=pch_defines,time_macros ${RUNNEL_CCACHE})
  endif()
endif()
