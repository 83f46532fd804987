# runnel_add_library(NAME [SHARED] [OBJECTS_OF LIBRARY] [FLAVOR race|address] [OUTPUT_NAME NAME])
#
# Every library is made of all of src/; with OBJECTS_OF, of what was compiled for another one. The flavors:
#   (none)   for ordinary programs.
#   race     announces goroutines and Go's happens-before edges to ThreadSanitizer but is itself never
#            instrumented: the locks of the runtime would order, and so hide, the races of its users.
#            Programs that link it are compiled with -fsanitize=thread.
#   address  itself instrumented by AddressSanitizer and UndefinedBehaviorSanitizer, for our own tests; a
#            user's instrumented program may link the ordinary library.

find_package(Threads REQUIRED)
include(CheckIncludeFileCXX)
include(GNUInstallDirs)

file(GLOB_RECURSE RUNNEL_SOURCES CONFIGURE_DEPENDS
     "${PROJECT_SOURCE_DIR}/src/*.cpp" "${PROJECT_SOURCE_DIR}/src/*.S")
if(RUNNEL_SOURCES MATCHES "\\.S(;|$)")
  enable_language(ASM)
endif()

# A header that was missing is looked for again: it may have been installed since.
foreach(header RUNNEL_LIBDW_HEADER RUNNEL_VALGRIND_HEADER)
  if(NOT ${header})
    unset(${header} CACHE)
  endif()
endforeach()

# libdw is loaded with dlopen when a report is written: only its header is needed here, and a
# program that never reports never loads it.
if(NOT RUNNEL_WITH_LIBDW STREQUAL "OFF")
  check_include_file_cxx(elfutils/libdwfl.h RUNNEL_LIBDW_HEADER)
  if(NOT RUNNEL_LIBDW_HEADER AND RUNNEL_WITH_LIBDW STREQUAL "ON")
    message(FATAL_ERROR "RUNNEL_WITH_LIBDW is ON but elfutils/libdwfl.h is missing (Debian: libdw-dev)")
  endif()
endif()
check_include_file_cxx(valgrind/valgrind.h RUNNEL_VALGRIND_HEADER)

function(runnel_add_library name)
  cmake_parse_arguments(PARSE_ARGV 1 arg "SHARED" "OBJECTS_OF;FLAVOR;OUTPUT_NAME" "")
  set(type "")  # BUILD_SHARED_LIBS decides
  if(arg_SHARED)
    set(type SHARED)
  elseif(NOT name STREQUAL "runnel")
    set(type STATIC)
  endif()
  if(arg_OBJECTS_OF)
    add_library(${name} ${type} $<TARGET_OBJECTS:${arg_OBJECTS_OF}>)
    set_target_properties(${name} PROPERTIES LINKER_LANGUAGE CXX)
  else()
    add_library(${name} ${type} ${RUNNEL_SOURCES})
  endif()

  target_compile_features(${name} PUBLIC cxx_std_20)
  target_include_directories(${name}
    PUBLIC "$<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}/include>" "$<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>"
    PRIVATE "${PROJECT_SOURCE_DIR}/src")
  # An assembler file that is empty for this processor must not ask for an executable stack either.
  target_compile_options(${name} PRIVATE ${RUNNEL_WARNINGS} $<$<COMPILE_LANGUAGE:ASM>:-Wa,--noexecstack>)
  if(RUNNEL_INSTALL OR arg_FLAVOR STREQUAL "race")
    # The static library's objects make the shared one, too. It costs nothing: hidden symbols are reached directly,
    # calls of exported ones become direct when an executable is linked. (The race preset, which installs nothing,
    # compiles as the release preset does, so that ccache knows the result.)
    set_target_properties(${name} PROPERTIES POSITION_INDEPENDENT_CODE ON)
    target_compile_options(${name} PRIVATE -fno-semantic-interposition)
  endif()
  target_link_libraries(${name} PUBLIC Threads::Threads PRIVATE ${CMAKE_DL_LIBS})
  target_compile_definitions(${name} PRIVATE
    $<$<BOOL:${RUNNEL_LIBDW_HEADER}>:RUNNEL_HAVE_LIBDW=1>
    $<$<BOOL:${RUNNEL_VALGRIND_HEADER}>:RUNNEL_HAVE_VALGRIND=1>)
  set_target_properties(${name} PROPERTIES
    CXX_EXTENSIONS OFF
    CXX_VISIBILITY_PRESET hidden
    VISIBILITY_INLINES_HIDDEN ON
    VERSION ${PROJECT_VERSION}
    SOVERSION ${PROJECT_VERSION_MAJOR}.${PROJECT_VERSION_MINOR})
  if(arg_OUTPUT_NAME)
    set_target_properties(${name} PROPERTIES OUTPUT_NAME ${arg_OUTPUT_NAME})
  endif()

  if(arg_FLAVOR STREQUAL "race")
    target_compile_definitions(${name} PRIVATE RUNNEL_RACE=1)
    target_compile_options(${name} INTERFACE ${RUNNEL_FLAGS_race})
    target_link_options(${name} INTERFACE ${RUNNEL_FLAGS_race})
  elseif(arg_FLAVOR STREQUAL "address")
    target_compile_options(${name} PUBLIC ${RUNNEL_FLAGS_address})
    target_link_options(${name} PUBLIC ${RUNNEL_FLAGS_address})
  endif()
endfunction()
