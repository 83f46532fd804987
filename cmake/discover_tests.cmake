# Run by ctest, with the variables that RunnelDiscover.cmake sets: asks a GoogleTest program for its tests and adds
# them. The list is kept beside the program until the program is newer, or the directory of its source, from where
# a program may take what it tests.
#
# A test that is registered once for every number of processors and place (suite.name/p1, /p2, /p8, /p1_thread)
# becomes one test that runs them all.

cmake_policy(VERSION 3.25)

# Not built, because only other tests were asked for, or because it does not compile: then the build has said so.
if(NOT EXISTS "${program}")
  add_test("${prefix}(not built)" "${program}")
  return()
endif()

set(list_file "${program}.tests")
if(NOT EXISTS "${list_file}" OR NOT "${list_file}" IS_NEWER_THAN "${program}"
    OR NOT "${list_file}" IS_NEWER_THAN "${source_dir}")
  execute_process(COMMAND ${emulator} "${program}" --gtest_list_tests
    OUTPUT_VARIABLE listing RESULT_VARIABLE status TIMEOUT 60)
  if(NOT status EQUAL 0)
    add_test("${prefix}(list of tests)" ${emulator} "${program}" --gtest_list_tests)
    return()
  endif()
  file(WRITE "${list_file}" "${listing}")
endif()

file(STRINGS "${list_file}" lines)
set(filters "")
foreach(line IN LISTS lines)
  string(REGEX REPLACE " *#.*$" "" line "${line}")
  if(line MATCHES "^  (.+)$")
    string(REGEX REPLACE "/p[0-9]+(_thread)?$" "/*" test "${CMAKE_MATCH_1}")
    list(APPEND filters "${suite}${test}")
  elseif(line MATCHES "^[^ ]+\\.$")
    set(suite "${line}")
  endif()
endforeach()
list(REMOVE_DUPLICATES filters)

foreach(filter IN LISTS filters)
  string(REGEX REPLACE "/\\*$" "" name "${prefix}${filter}")
  add_test("${name}" ${emulator} "${program}" "--gtest_filter=${filter}")
  set_tests_properties("${name}" PROPERTIES
    ENVIRONMENT "${environment}" LABELS "${labels}" ${properties})
endforeach()
