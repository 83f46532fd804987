# What `cmake --install` puts in place: the headers; the library static and shared, each also for race
# detection; the CMake package, the pkg-config files; the `runnel` command. AddressSanitizer needs no library
# of its own: the ordinary one notices that it serves an instrumented program.

include(CMakePackageConfigHelpers)

if(BUILD_SHARED_LIBS)
  message(FATAL_ERROR "RUNNEL_INSTALL installs the static and the shared library; leave BUILD_SHARED_LIBS off")
endif()

runnel_add_library(runnel_shared SHARED OBJECTS_OF runnel OUTPUT_NAME runnel)
runnel_add_library(runnel_race FLAVOR race)
runnel_add_library(runnel_race_shared SHARED OBJECTS_OF runnel_race FLAVOR race OUTPUT_NAME runnel_race)
# The names before `runnel::` became what the package file makes of them.
set_target_properties(runnel PROPERTIES EXPORT_NAME runnel_static)
set_target_properties(runnel_race PROPERTIES EXPORT_NAME runnel_race_static)

set(runnel_libraries runnel runnel_shared runnel_race runnel_race_shared)
add_custom_target(runnel_libraries DEPENDS ${runnel_libraries})

set(RUNNEL_CMAKE_DIR "${CMAKE_INSTALL_LIBDIR}/cmake/runnel")
install(TARGETS ${runnel_libraries} EXPORT runnelTargets)
install(EXPORT runnelTargets NAMESPACE runnel:: DESTINATION "${RUNNEL_CMAKE_DIR}")
install(DIRECTORY "${PROJECT_SOURCE_DIR}/include/runnel" DESTINATION "${CMAKE_INSTALL_INCLUDEDIR}"
        FILES_MATCHING PATTERN "*.hpp")

configure_package_config_file(
  "${PROJECT_SOURCE_DIR}/cmake/runnelConfig.cmake.in" "${PROJECT_BINARY_DIR}/runnelConfig.cmake"
  INSTALL_DESTINATION "${RUNNEL_CMAKE_DIR}" NO_SET_AND_CHECK_MACRO NO_CHECK_REQUIRED_COMPONENTS_MACRO)
# Before 1.0 a minor version may break its users.
write_basic_package_version_file("${PROJECT_BINARY_DIR}/runnelConfigVersion.cmake" COMPATIBILITY SameMinorVersion)
install(FILES "${PROJECT_BINARY_DIR}/runnelConfig.cmake" "${PROJECT_BINARY_DIR}/runnelConfigVersion.cmake"
        DESTINATION "${RUNNEL_CMAKE_DIR}")

# runnel.pc and runnel-race.pc; the latter's flags carry the sanitizer to compiler and linker. The prefix is
# found from where the file lies, so that an installed tree may be moved.
file(RELATIVE_PATH RUNNEL_PC_TO_PREFIX
     "${CMAKE_INSTALL_FULL_LIBDIR}/pkgconfig" "${CMAKE_INSTALL_PREFIX}")
foreach(flavor IN ITEMS "" race)
  set(RUNNEL_PC_NAME runnel)
  set(RUNNEL_PC_LIBRARY runnel)
  set(RUNNEL_PC_FLAGS "")
  if(flavor STREQUAL "race")
    set(RUNNEL_PC_NAME runnel-race)
    set(RUNNEL_PC_LIBRARY runnel_race)
    set(RUNNEL_PC_FLAGS " ${RUNNEL_FLAGS_race}")
  endif()
  configure_file("${PROJECT_SOURCE_DIR}/cmake/runnel.pc.in" "${PROJECT_BINARY_DIR}/${RUNNEL_PC_NAME}.pc" @ONLY)
  install(FILES "${PROJECT_BINARY_DIR}/${RUNNEL_PC_NAME}.pc" DESTINATION "${CMAKE_INSTALL_LIBDIR}/pkgconfig")
endforeach()

install(PROGRAMS "${PROJECT_SOURCE_DIR}/runnel" DESTINATION "${CMAKE_INSTALL_BINDIR}")
install(FILES "${PROJECT_SOURCE_DIR}/scripts/completions/runnel.bash"
        DESTINATION "${CMAKE_INSTALL_DATADIR}/bash-completion/completions" RENAME runnel)
install(FILES "${PROJECT_SOURCE_DIR}/LICENSE" DESTINATION "${CMAKE_INSTALL_DOCDIR}")
