// A simulated accelerator, for tests: the device "simulated" of LibTorch's PrivateUse1 key. It computes with the CPU's
// kernels and gives the CPU's bits, but has an accelerator's manners: its memory cannot be touched by the host, a
// tensor left on the CPU is an error, and copies that need not block happen as late as they may.
//
// A shared library that the program loads when GRADUS_DEVICE_LIBRARY names it (runtime/device.cpp).
#pragma once

#include <ATen/ATen.h>
#include <ATen/core/dispatch/Dispatcher.h>
#include <torch/library.h>

namespace simulated {

// Device pointers have this bit set: no address of a program does, so the host faults on them at once.
inline constexpr uintptr_t kTag = uintptr_t{1} << 55;
inline void* tagged(void* p) { return p ? reinterpret_cast<void*>(reinterpret_cast<uintptr_t>(p) | kTag) : p; }
inline void* untagged(void* p) { return reinterpret_cast<void*>(reinterpret_cast<uintptr_t>(p) & ~kTag); }

inline c10::Device device() { return {c10::DeviceType::PrivateUse1, 0}; }
inline bool is_ours(const at::Tensor& t) { return t.defined() && t.device().is_privateuseone(); }

// Memory of the CPU as memory of the device, which owns it from here on.
c10::DataPtr adopt(c10::DataPtr memory);
c10::Allocator* allocator();
bool is_pinned(const void* pointer);

// What the host has asked the device to do later, in order.
namespace stream {
// Copies into `to` later; until then a floating-point destination on the host holds NaN.
void copy_later(const at::Tensor& to, const at::Tensor& from);
void finish();  // all of it: a synchronisation
void start();   // an operator begins: what was to arrive on the device before it has arrived
void wait();    // the host waits for all that it has asked for; simulated_waits() counts these
}  // namespace stream

// A CPU tensor on the memory of a tensor of the device.
at::Tensor on_cpu(const at::Tensor& tensor);
// A new tensor of the device on memory of the CPU.
at::Tensor on_device(const at::Tensor& cpu);

// Operators that kernels.cpp has of its own.
bool has_own_kernel(const c10::OperatorName& name);

}  // namespace simulated
