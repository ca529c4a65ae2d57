# Shared by every target: the language, the warnings, the sanitizers.
#
#   headrace_library(NAME SOURCES... DEPS...)   a static, position-independent library
#   headrace_test(NAME SOURCES... DEPS...)      a GoogleTest program, its cases known to CTest
#   headrace_benchmark(NAME SOURCES... DEPS...) a Google Benchmark program
#   headrace_fuzzer(NAME SOURCES... DEPS...)    a libFuzzer program; the target headrace_fuzzers builds all

set(CMAKE_CXX_STANDARD 17)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
set(CMAKE_CXX_VISIBILITY_PRESET hidden)
set(CMAKE_VISIBILITY_INLINES_HIDDEN ON)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
if(NOT CMAKE_BUILD_TYPE)
  set(CMAKE_BUILD_TYPE Release)
endif()

# Half of a build is the compilation of tests: it counts more than how fast they run.
if(HEADRACE_SANITIZE)
  set(headrace_test_optimization -O0)
else()
  set(headrace_test_optimization -O1)
endif()

add_library(headrace_flags INTERFACE)
target_compile_options(headrace_flags INTERFACE -Wall -Wextra -Werror)
target_include_directories(headrace_flags INTERFACE "${PROJECT_SOURCE_DIR}/src")
if(HEADRACE_SANITIZE)
  target_compile_options(headrace_flags INTERFACE
    -fsanitize=${HEADRACE_SANITIZE} -fno-sanitize-recover=all -fno-omit-frame-pointer -g1 -O1)
  target_link_options(headrace_flags INTERFACE -fsanitize=${HEADRACE_SANITIZE})
endif()

if(HEADRACE_FUZZ)
  if(NOT CMAKE_CXX_COMPILER_ID STREQUAL "Clang")
    message(FATAL_ERROR "HEADRACE_FUZZ needs clang++: libFuzzer is a part of it")
  endif()
  target_compile_options(headrace_flags INTERFACE -fsanitize=fuzzer-no-link)
endif()

function(headrace_library name)
  cmake_parse_arguments(ARG "" "" "SOURCES;DEPS" ${ARGN})
  add_library(${name} STATIC ${ARG_SOURCES})
  target_link_libraries(${name} PUBLIC headrace_flags ${ARG_DEPS})
endfunction()

function(headrace_test name)
  if(NOT HEADRACE_BUILD_TESTS)
    return()
  endif()
  cmake_parse_arguments(ARG "" "" "SOURCES;DEPS" ${ARGN})
  add_executable(${name} ${ARG_SOURCES})
  set_source_files_properties(${ARG_SOURCES} PROPERTIES COMPILE_OPTIONS ${headrace_test_optimization})
  target_link_libraries(${name} PRIVATE headrace_flags ${ARG_DEPS} GTest::gtest_main)
  gtest_discover_tests(${name} DISCOVERY_TIMEOUT 60)
endfunction()

function(headrace_benchmark name)
  if(NOT HEADRACE_BUILD_BENCHMARKS)
    return()
  endif()
  cmake_parse_arguments(ARG "" "" "SOURCES;DEPS" ${ARGN})
  add_executable(${name} ${ARG_SOURCES})
  target_link_libraries(${name} PRIVATE headrace_flags ${ARG_DEPS} benchmark::benchmark_main)
endfunction()

add_custom_target(headrace_fuzzers)
function(headrace_fuzzer name)
  if(NOT HEADRACE_FUZZ)
    return()
  endif()
  cmake_parse_arguments(ARG "" "" "SOURCES;DEPS" ${ARGN})
  add_executable(${name} EXCLUDE_FROM_ALL ${ARG_SOURCES})
  target_link_libraries(${name} PRIVATE headrace_flags ${ARG_DEPS})
  target_link_options(${name} PRIVATE -fsanitize=fuzzer)
  set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY "${CMAKE_BINARY_DIR}/fuzzers")
  add_dependencies(headrace_fuzzers ${name})
endfunction()
