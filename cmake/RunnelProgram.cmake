# Programs made of one source file: tests, examples, benchmarks, crash programs.
#
# A file may say in comments what it needs; `runnel run` reads the first of these, too:
#   // runnel: link: -lcrypto         linker flags
#   // runnel: labels: slow           labels of its test
#   // runnel: timeout: 300           seconds until ctest ends one test of the file
#   // runnel: serial                 its tests run alone

# runnel_directive(FILE KEY VAR): the text after "// runnel: KEY:", empty if there is none; "yes" for a bare KEY.
function(runnel_directive file key var)
  file(STRINGS "${file}" lines REGEX "^// runnel: ${key}(:|[ ]*$)")
  set(result "")
  foreach(line IN LISTS lines)
    if(line MATCHES "^// runnel: ${key}: *(.*[^ ]) *$")
      string(REPLACE " " ";" words "${CMAKE_MATCH_1}")
      list(APPEND result ${words})
    else()
      set(result yes)
    endif()
  endforeach()
  if(result)
    set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS "${file}")
  endif()
  set(${var} "${result}" PARENT_SCOPE)
endfunction()

# runnel_mentions(FILE TEXT VAR): whether the file contains a line that matches the expression.
function(runnel_mentions file text var)
  file(STRINGS "${file}" lines REGEX "${text}" LIMIT_COUNT 1)
  if(lines)
    set(${var} TRUE PARENT_SCOPE)
  else()
    set(${var} FALSE PARENT_SCOPE)
  endif()
endfunction()

# runnel_program(TARGET FILE [LIBRARIES...]): one executable from one file, with the file's own linker flags. The
# target does not exist afterwards if a library it asks for is not installed; a message says so.
function(runnel_program target file)
  runnel_directive("${file}" link flags)
  foreach(flag IN LISTS flags)
    if(flag MATCHES "^-l(.+)$")
      set(library ${CMAKE_MATCH_1})
      find_library(RUNNEL_LIB_${library} ${library})
      mark_as_advanced(RUNNEL_LIB_${library})
      if(NOT RUNNEL_LIB_${library})
        message(STATUS "${target} is left out: lib${library} is not installed")
        return()
      endif()
    endif()
  endforeach()
  add_executable(${target} "${file}")
  runnel_own_program(${target})
  target_link_libraries(${target} PRIVATE ${ARGN} ${flags})
endfunction()
