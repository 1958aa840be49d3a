# Functions every module uses, and the flags every target gets.

find_program(SKIFF_CCACHE ccache)
if(SKIFF_CCACHE)
  set(CMAKE_CXX_COMPILER_LAUNCHER "${SKIFF_CCACHE}")
  set(CMAKE_C_COMPILER_LAUNCHER "${SKIFF_CCACHE}")
endif()

find_program(SKIFF_LLD ld.lld)
if(SKIFF_LLD)
  add_link_options(-fuse-ld=lld)
endif()

add_compile_options(-Wall -Wextra -Werror -Wshadow -Wnon-virtual-dtor -Wimplicit-fallthrough
                    -fno-strict-aliasing -fstack-protector-strong)
if(CMAKE_BUILD_TYPE STREQUAL "Release")
  add_compile_options(-O2 -D_FORTIFY_SOURCE=2 -ffunction-sections -fdata-sections)
  add_link_options(-Wl,--gc-sections)
else()
  add_compile_options(-O1 -g1 -D_GLIBCXX_ASSERTIONS)
endif()
if(SKIFF_SANITIZE)
  add_compile_options(-fsanitize=${SKIFF_SANITIZE} -fno-omit-frame-pointer
                      -fno-sanitize-recover=all)
  add_link_options(-fsanitize=${SKIFF_SANITIZE})
endif()
if(SKIFF_FUZZ)
  # The standard library of GCC 12 calls its own deprecated functions, which only clang minds.
  add_compile_options(-Wno-deprecated-declarations)
  # Every function counts where it goes; what has a main() of its own links as usual.
  add_compile_options(-fsanitize=fuzzer-no-link)
  add_link_options(-fsanitize=fuzzer-no-link)
endif()
add_compile_definitions(FMT_HEADER_ONLY=1 _FILE_OFFSET_BITS=64 _GNU_SOURCE)
include_directories(${CMAKE_SOURCE_DIR})

if(SKIFF_TIDY)
  find_program(SKIFF_CLANG_TIDY clang-tidy REQUIRED)
  set(CMAKE_CXX_CLANG_TIDY "${SKIFF_CLANG_TIDY};--warnings-as-errors=*;--quiet")
endif()

# Several sources of a module in one compilation: what they share of templates is compiled once. Not
# for what the monitor links, which takes single objects from its libraries, and not in release, where
# every source stands by itself.
function(skiff_unity)
  if(SKIFF_UNITY)
    set_target_properties(${ARGN} PROPERTIES UNITY_BUILD ON UNITY_BUILD_BATCH_SIZE 5)
  endif()
endfunction()

find_package(Threads REQUIRED)

# skiff_module(NAME SOURCES... [LINK LIBS...]): the static library skiff_NAME of one module.
function(skiff_module name)
  cmake_parse_arguments(ARG "" "" "SOURCES;LINK" ${ARGN})
  add_library(skiff_${name} STATIC ${ARG_SOURCES})
  target_link_libraries(skiff_${name} PUBLIC ${ARG_LINK})
endfunction()

# What test programs include most, compiled once for all of them: half of their time. They are not
# optimised, since nothing measures them. Only where a module is not compiled source by source either.
function(skiff_test_headers name)
  if(NOT SKIFF_UNITY)
    return()
  endif()
  if(NOT TARGET skiff_test_headers)
    add_library(skiff_test_headers OBJECT ${CMAKE_SOURCE_DIR}/tests/headers.cc)
    target_link_libraries(skiff_test_headers PRIVATE GTest::gmock Threads::Threads)
    target_compile_options(skiff_test_headers PRIVATE -O0)
    target_precompile_headers(skiff_test_headers PRIVATE <gmock/gmock.h> <gtest/gtest.h>
      <algorithm> <chrono> <filesystem> <fstream> <functional> <map> <memory> <optional> <set>
      <string> <string_view> <thread> <vector>)
  endif()
  target_compile_options(${name} PRIVATE -O0)
  target_precompile_headers(${name} REUSE_FROM skiff_test_headers)
endfunction()

# skiff_test(NAME LABEL label SOURCES... [LINK LIBS...]): one GoogleTest program, one ctest test.
# LABEL is unit, kernel, e2e, architecture or guest; kernel and e2e tests do not run beside each other.
# NO_UNITY: its sources have helpers of the same names.
function(skiff_test name)
  cmake_parse_arguments(ARG "NO_UNITY" "LABEL;TIMEOUT" "SOURCES;LINK" ${ARGN})
  if(NOT ARG_TIMEOUT)
    set(ARG_TIMEOUT 120)
  endif()
  add_executable(${name} ${ARG_SOURCES})
  target_link_libraries(${name} PRIVATE ${ARG_LINK} GTest::gmock GTest::gtest_main Threads::Threads)
  if(NOT ARG_NO_UNITY)
    skiff_unity(${name})
  endif()
  skiff_test_headers(${name})
  add_test(NAME ${name} COMMAND ${name})
  set_property(GLOBAL APPEND PROPERTY SKIFF_TEST_PROGRAMS "${ARG_LABEL} ${name} ${ARG_TIMEOUT}")
  set_tests_properties(${name} PROPERTIES LABELS "${ARG_LABEL}" TIMEOUT ${ARG_TIMEOUT}
                       SKIP_RETURN_CODE 77)
  if(NOT ARG_LABEL STREQUAL "unit" AND NOT ARG_LABEL STREQUAL "architecture")
    set_tests_properties(${name} PROPERTIES RUN_SERIAL ON)
  endif()
endfunction()
