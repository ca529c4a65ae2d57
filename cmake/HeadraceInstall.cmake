# Puts the library where the Python package looks for it: beside its modules, in headrace/lib, with
# a build.json that says what it was built for (the load guard reads that before it loads the
# library).
#
#   headrace_install_python(TARGET)   TARGET: the shared library or module libheadrace.so
#
# In a wheel (scikit-build-core installs the component `python`) both are copied; for a checkout the
# build in build/release, or one with -DHEADRACE_DEVELOP=ON, links them into python/headrace/lib, so
# that the package works from there after each build.

set(_headrace_develop OFF)
if(CMAKE_BINARY_DIR STREQUAL "${CMAKE_SOURCE_DIR}/build/release")
  set(_headrace_develop ON)
endif()
option(HEADRACE_DEVELOP "Link the built library into python/headrace/lib" ${_headrace_develop})

function(headrace_install_python target)
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
