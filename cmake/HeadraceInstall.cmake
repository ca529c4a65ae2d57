# Puts the library and the programs where the Python package looks for them, beside its modules.
#
#   headrace_install_python(TARGET)   the shared library or module libheadrace.so, to headrace/lib, with
#                                     a build.json that says what it was built for (the load guard reads
#                                     that before it loads the library)
#   headrace_install_program(TARGET [TENSORFLOW])
#                                     a program, to headrace/bin, under the target's output name;
#                                     TENSORFLOW: it finds the libraries of the wheel installed beside it
#
# In a wheel (scikit-build-core installs the component `python`) they are copied; for a checkout the
# build in build/release, or one with -DHEADRACE_DEVELOP=ON, links them into python/headrace, so that
# the package works from there after each build. The target headrace_python builds all of them.

set(_headrace_develop OFF)
if(CMAKE_BINARY_DIR STREQUAL "${CMAKE_SOURCE_DIR}/build/release")
  set(_headrace_develop ON)
endif()
option(HEADRACE_DEVELOP "Link the built library into python/headrace/lib" ${_headrace_develop})

add_custom_target(headrace_python)

function(headrace_install_python target)
  add_dependencies(headrace_python ${target})
  set(info "${CMAKE_CURRENT_BINARY_DIR}/build.json")
  file(CONFIGURE OUTPUT "${info}" @ONLY CONTENT
    [[{"headrace": "@PROJECT_VERSION@", "tensorflow": "@TensorFlow_VERSION@"}
]])

  set_target_properties(${target} PROPERTIES INSTALL_RPATH "$ORIGIN/../../tensorflow")
  install(TARGETS ${target} LIBRARY DESTINATION headrace/lib COMPONENT python)
  install(FILES "${info}" DESTINATION headrace/lib COMPONENT python)

  if(HEADRACE_DEVELOP)
    set(lib "${CMAKE_SOURCE_DIR}/python/headrace/lib")
    add_custom_command(TARGET ${target} POST_BUILD
      COMMAND "${CMAKE_COMMAND}" -E make_directory "${lib}"
      COMMAND "${CMAKE_COMMAND}" -E create_symlink
              "$<TARGET_FILE:${target}>" "${lib}/libheadrace.so"
      COMMAND "${CMAKE_COMMAND}" -E create_symlink "${info}" "${lib}/build.json"
      VERBATIM)
  endif()
endfunction()

function(headrace_install_program target)
  cmake_parse_arguments(ARG "TENSORFLOW" "" "" ${ARGN})
  add_dependencies(headrace_python ${target})
  if(ARG_TENSORFLOW)
    set_target_properties(${target} PROPERTIES INSTALL_RPATH "$ORIGIN/../../tensorflow")
  endif()
  install(TARGETS ${target} RUNTIME DESTINATION headrace/bin COMPONENT python)

  if(HEADRACE_DEVELOP)
    set(bin "${CMAKE_SOURCE_DIR}/python/headrace/bin")
    add_custom_command(TARGET ${target} POST_BUILD
      COMMAND "${CMAKE_COMMAND}" -E make_directory "${bin}"
      COMMAND "${CMAKE_COMMAND}" -E create_symlink
              "$<TARGET_FILE:${target}>" "${bin}/$<TARGET_FILE_NAME:${target}>"
      VERBATIM)
  endif()
endfunction()
