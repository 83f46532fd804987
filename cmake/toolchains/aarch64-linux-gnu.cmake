# Cross-compiles for AArch64 on Debian and Ubuntu (package g++-aarch64-linux-gnu); the programs run under
# qemu-user (package qemu-user) against the cross libraries.
set(CMAKE_SYSTEM_NAME Linux)
set(CMAKE_SYSTEM_PROCESSOR aarch64)

set(CMAKE_CXX_COMPILER aarch64-linux-gnu-g++)
set(CMAKE_ASM_COMPILER aarch64-linux-gnu-g++)

set(CMAKE_FIND_ROOT_PATH /usr/aarch64-linux-gnu)
set(CMAKE_FIND_ROOT_PATH_MODE_PROGRAM NEVER)
set(CMAKE_FIND_ROOT_PATH_MODE_LIBRARY ONLY)
set(CMAKE_FIND_ROOT_PATH_MODE_INCLUDE ONLY)
set(CMAKE_FIND_ROOT_PATH_MODE_PACKAGE ONLY)

find_program(RUNNEL_QEMU_AARCH64 NAMES qemu-aarch64 qemu-aarch64-static)
mark_as_advanced(RUNNEL_QEMU_AARCH64)
if(RUNNEL_QEMU_AARCH64)
  set(CMAKE_CROSSCOMPILING_EMULATOR ${RUNNEL_QEMU_AARCH64} -L /usr/aarch64-linux-gnu)
endif()
