# runnel_discover_tests(TARGET PREFIX [ENVIRONMENT V=X...] [LABELS L...] [PROPERTIES P V...])
#
# One ctest test for each test of a GoogleTest program, found when ctest starts (discover_tests.cmake). CMake's own
# gtest_discover_tests would start a process for every number of processors a test is registered for, which costs
# more than most of the tests do, and takes no lists (two labels, two environment variables) as properties.

set(RUNNEL_DISCOVER_SCRIPT "${CMAKE_CURRENT_LIST_DIR}/discover_tests.cmake")

function(runnel_discover_tests target prefix)
  cmake_parse_arguments(PARSE_ARGV 2 arg "" "" "ENVIRONMENT;LABELS;PROPERTIES")
  string(MAKE_C_IDENTIFIER "${target}_${prefix}" id)
  set(include_file "${CMAKE_CURRENT_BINARY_DIR}/discover/${id}.cmake")
  get_property(sources TARGET ${target} PROPERTY SOURCES)
  list(GET sources 0 source)
  cmake_path(GET source PARENT_PATH source_dir)
  get_property(emulator TARGET ${target} PROPERTY CROSSCOMPILING_EMULATOR)
  string(CONCAT content
    "set(program [==[$<TARGET_FILE:${target}>]==])\n"
    "set(source_dir [==[${source_dir}]==])\n"
    "set(emulator [==[${emulator}]==])\n"
    "set(prefix [==[${prefix}]==])\n"
    "set(environment [==[${arg_ENVIRONMENT}]==])\n"
    "set(labels [==[${arg_LABELS}]==])\n"
    "set(properties [==[${arg_PROPERTIES}]==])\n"
    "include([==[${RUNNEL_DISCOVER_SCRIPT}]==])\n")
  file(GENERATE OUTPUT "${include_file}" CONTENT "${content}")
  set_property(DIRECTORY APPEND PROPERTY TEST_INCLUDE_FILES "${include_file}")
endfunction()
