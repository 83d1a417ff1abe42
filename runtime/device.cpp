#include "device.h"

#include <ATen/Context.h>
#include <ATen/detail/AcceleratorHooksInterface.h>
#include <c10/core/impl/DeviceGuardImplInterface.h>
#include <dlfcn.h>
#include <sched.h>

#include <cstdlib>
#include <filesystem>

#include "error.h"

namespace gradus {
namespace {

// libtorch_cuda.so and its like lie beside libtorch_cpu.so.
void load_accelerator_library(const std::string& type) {
  Dl_info info;
  if (!dladdr(reinterpret_cast<void*>(&at::get_num_threads), &info) || !info.dli_fname) return;
  const auto path = std::filesystem::path(info.dli_fname).parent_path() / ("libtorch_" + type + ".so");
  if (std::filesystem::exists(path)) dlopen(path.c_str(), RTLD_NOW | RTLD_GLOBAL);
}

// A device that LibTorch has no name for comes in a library of its own, which registers it (PrivateUse1).
void load_named_library() {
  static const char* const path = std::getenv("GRADUS_DEVICE_LIBRARY");
  static const bool loaded = path && dlopen(path, RTLD_NOW | RTLD_GLOBAL);
  if (path && !loaded) {
    const char* why = dlerror();
    throw Error(Exit::usage, "GRADUS_DEVICE_LIBRARY: '" + std::string(path) + "' cannot be loaded" +
                                 (why ? std::string(": ") + why : ""));
  }
}

std::optional<c10::Device> parse(const std::string& name) {
  if (name != "cpu") load_named_library();
  try {
    return c10::Device(name);
  } catch (const c10::Error&) {
    return std::nullopt;
  }
}

}  // namespace

bool is_device_name(const std::string& name) { return parse(name).has_value(); }

c10::Device resolve_device(const std::string& name) {
  const auto known = parse(name);
  if (!known) throw Error(Exit::usage, "device '" + name + "' is unknown; expected cpu, cuda, cuda:N, mps or xpu");
  const c10::Device device = *known;
  if (device.is_cpu()) return device;
  const c10::DeviceType type = device.type();
  const std::string type_name = c10::DeviceTypeName(type, /*lower_case=*/true);
  static thread_local std::string loaded;
  if (loaded != type_name) {
    load_accelerator_library(type_name);
    loaded = type_name;
  }
  bool present = false;
  try {
    present = at::globalContext().getAcceleratorHooksInterface(type).isAvailable() &&
              device.index() < c10::impl::getDeviceGuardImpl(type)->deviceCount();
  } catch (const c10::Error&) {  // this LibTorch was built without it
  }
  if (!present)
    throw Error(Exit::usage, "device '" + name + "' is not available here: this LibTorch or this machine has no " +
                                 device.str() + "; expected cpu");
  return device;
}

void set_threads(int count) {
  if (count < 1 || count > kMostThreads)
    throw Error(Exit::usage, "threads: expected a count from 1 to " + std::to_string(kMostThreads) + "; got " +
                                 std::to_string(count));
  at::set_num_threads(count);
}

int threads() { return at::get_num_threads(); }

int cores() {
  cpu_set_t set;
  return sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : 1;
}

}  // namespace gradus
