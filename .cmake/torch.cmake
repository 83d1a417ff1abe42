# Finds LibTorch and makes two imported targets of it: torch::cpu (libtorch_cpu) and torch::c10.
#
# Not find_package(Torch): a CUDA wheel's package file asks for the CUDA toolkit, and we link nothing of it.
# Order: TORCH_DIR (environment or -D), the importable torch of python3, then the wheel that the Makefile fetched.
set(TORCH_DIR "" CACHE PATH "Root of a LibTorch 2.13 or later (holds include/ and lib/)")
if(DEFINED ENV{TORCH_DIR} AND NOT "$ENV{TORCH_DIR}" STREQUAL "")
  set(TORCH_DIR "$ENV{TORCH_DIR}" CACHE PATH "" FORCE)  # said now, so it counts over an earlier configuration
endif()

if(NOT TORCH_DIR)
  execute_process(
    COMMAND python3 -c "import importlib.util as u; print(u.find_spec('torch').submodule_search_locations[0])"
    OUTPUT_VARIABLE found OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET RESULT_VARIABLE failed)
  if(NOT failed AND EXISTS "${found}/lib/libtorch_cpu.so")
    set(TORCH_DIR "${found}" CACHE PATH "" FORCE)
  elseif(EXISTS "${CMAKE_SOURCE_DIR}/build/wheel/torch/lib/libtorch_cpu.so")
    set(TORCH_DIR "${CMAKE_SOURCE_DIR}/build/wheel/torch" CACHE PATH "" FORCE)
  endif()
endif()
if(NOT EXISTS "${TORCH_DIR}/lib/libtorch_cpu.so")
  message(FATAL_ERROR "LibTorch: no lib/libtorch_cpu.so under TORCH_DIR '${TORCH_DIR}'; "
    "expected a LibTorch 2.13 or later. 'make build' fetches one; 'pip install torch==2.13.0' works too.")
endif()

set(TORCH_VERSION "")
foreach(part MAJOR MINOR PATCH)
  file(STRINGS "${TORCH_DIR}/include/torch/headeronly/version.h" line REGEX "#define TORCH_VERSION_${part} ")
  string(REGEX MATCH "[0-9]+" number "${line}")
  list(APPEND TORCH_VERSION ${number})
endforeach()
list(JOIN TORCH_VERSION "." TORCH_VERSION)
if(TORCH_VERSION VERSION_LESS 2.13)
  message(FATAL_ERROR "LibTorch at ${TORCH_DIR} is ${TORCH_VERSION}; expected 2.13 or later.")
endif()
message(STATUS "LibTorch ${TORCH_VERSION} at ${TORCH_DIR}")

foreach(name cpu c10)
  add_library(torch::${name} SHARED IMPORTED)
endforeach()
set_target_properties(torch::c10 PROPERTIES IMPORTED_LOCATION "${TORCH_DIR}/lib/libc10.so")
set_target_properties(torch::cpu PROPERTIES IMPORTED_LOCATION "${TORCH_DIR}/lib/libtorch_cpu.so"
  INTERFACE_LINK_LIBRARIES torch::c10)
# The layout of LibTorch's classes depends on NDEBUG (RecordFunction has a member more without), and the wheel has it.
target_compile_definitions(torch::cpu INTERFACE $<$<NOT:$<CONFIG:Release>>:NDEBUG>)
target_include_directories(torch::cpu SYSTEM INTERFACE
  "${TORCH_DIR}/include" "${TORCH_DIR}/include/torch/csrc/api/include")
# A CUDA wheel's libtorch_cpu needs libraries of the CUDA toolkit, which it finds by itself when it is loaded.
target_link_options(torch::cpu INTERFACE -Wl,--allow-shlib-undefined)
# at::parallel_for is a template: its loops are parallel only in code that is itself compiled for OpenMP. The library is the
# wheel's, by its place in the run path.
target_compile_options(torch::cpu INTERFACE -fopenmp)
target_link_options(torch::cpu INTERFACE -fopenmp)
