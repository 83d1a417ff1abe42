// Devices by name. An accelerator's library is loaded when a script first asks for the device, so that one binary
// serves CPU and CUDA builds of LibTorch: libtorch_TYPE.so beside libtorch_cpu.so, or what GRADUS_DEVICE_LIBRARY names.
#pragma once

#include <string>
#include <vector>

#include "torch.h"

namespace gradus {

// "cpu", "cuda", "cuda:1", … Throws Error(usage) for a name that is no device, one LibTorch has no library for, or
// one that has no hardware here.
c10::Device resolve_device(const std::string& name);
// Whether LibTorch knows such a device, here or elsewhere.
bool is_device_name(const std::string& name);

// Intra-op threads of this process; resolved once per run and stored with it.
constexpr int kMostThreads = 1024;
void set_threads(int count);  // Error (usage): not from 1 to kMostThreads
int threads();
// Cores that this process may run on, by its affinity.
int cores();

}  // namespace gradus
