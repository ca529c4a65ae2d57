# Finds the TensorFlow wheel of a Python environment without importing it (an import takes seconds).
#
# Input:   HEADRACE_PYTHON  the interpreter whose site-packages hold the wheel
#                           (default: the one that pip builds for, else .venv/bin/python of the
#                           source tree, else python3).
# Output:  TensorFlow_FOUND, TensorFlow_VERSION, TensorFlow_DIR_ROOT and the imported target
#          TensorFlow::wheel (framework and cc libraries, headers as SYSTEM).
#
# NDEBUG is part of the ABI: without it EdgeSet and others have another layout than in the wheel.

if(NOT HEADRACE_PYTHON)
  if(SKBUILD AND Python_EXECUTABLE)
    set(HEADRACE_PYTHON "${Python_EXECUTABLE}")
  elseif(EXISTS "${PROJECT_SOURCE_DIR}/.venv/bin/python")
    set(HEADRACE_PYTHON "${PROJECT_SOURCE_DIR}/.venv/bin/python")
  else()
    find_program(HEADRACE_PYTHON NAMES python3 python)
  endif()
endif()

# -E: pip hides the environment's packages from its builds by way of PYTHONPATH.
execute_process(
  COMMAND "${HEADRACE_PYTHON}" -E -c
    "import importlib.util, importlib.metadata as m, os
spec = importlib.util.find_spec('tensorflow')
names = ('tensorflow-cpu', 'tensorflow', 'tensorflow-intel')
def version():
    for n in names:
        try: return m.version(n)
        except m.PackageNotFoundError: pass
    return ''
print((os.path.dirname(spec.origin) + ';' + version()) if spec else '')"
  OUTPUT_VARIABLE _tf_found OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET)
if(_tf_found)
  list(GET _tf_found 0 TensorFlow_DIR_ROOT)
  list(GET _tf_found 1 TensorFlow_VERSION)
endif()

include(FindPackageHandleStandardArgs)
find_package_handle_standard_args(TensorFlow
  REQUIRED_VARS TensorFlow_DIR_ROOT
  VERSION_VAR TensorFlow_VERSION
  REASON_FAILURE_MESSAGE "no TensorFlow in ${HEADRACE_PYTHON}: run '${HEADRACE_PYTHON} -m pip install tensorflow-cpu==2.21.0'")

if(TensorFlow_FOUND AND NOT TARGET TensorFlow::wheel)
  add_library(TensorFlow::wheel INTERFACE IMPORTED)
  target_include_directories(TensorFlow::wheel SYSTEM INTERFACE "${TensorFlow_DIR_ROOT}/include")
  target_compile_definitions(TensorFlow::wheel INTERFACE NDEBUG EIGEN_MAX_ALIGN_BYTES=64)
  # Full paths: CMake then sets the run path in the build tree, and takes it out on installation.
  # --no-as-needed: the linker drops libtensorflow_cc when nothing of it is named, and with it
  # the session factories and kernels that register themselves.
  target_link_libraries(TensorFlow::wheel INTERFACE
    -Wl,--no-as-needed
    "${TensorFlow_DIR_ROOT}/libtensorflow_framework.so.2" "${TensorFlow_DIR_ROOT}/libtensorflow_cc.so.2"
    -Wl,--as-needed)
endif()
