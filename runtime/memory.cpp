#include "memory.h"

#include <c10/core/Allocator.h>
#include <c10/core/impl/alloc_cpu.h>
#include <malloc.h>

#include <atomic>

#include "torch.h"

namespace gradus::memory {
namespace {

std::atomic<std::size_t> live{0};
std::atomic<std::size_t> peak{0};
std::atomic<std::size_t> count{0};

void free_counted(void* pointer) {
  if (!pointer) return;
  live.fetch_sub(malloc_usable_size(pointer), std::memory_order_relaxed);
  c10::free_cpu(pointer);
}

class CountingAllocator final : public c10::Allocator {
 public:
  c10::DataPtr allocate(std::size_t bytes) override {
    void* pointer = c10::alloc_cpu(bytes);
    if (pointer) {
      const std::size_t now = live.fetch_add(malloc_usable_size(pointer), std::memory_order_relaxed) + bytes;
      count.fetch_add(1, std::memory_order_relaxed);
      std::size_t seen = peak.load(std::memory_order_relaxed);
      while (now > seen && !peak.compare_exchange_weak(seen, now, std::memory_order_relaxed)) {
      }
    }
    return {pointer, pointer, &free_counted, c10::Device(c10::kCPU)};
  }
  c10::DeleterFnPtr raw_deleter() const override { return &free_counted; }
  void copy_data(void* target, const void* source, std::size_t bytes) const override {
    default_copy_data(target, source, bytes);
  }
};

}  // namespace

void install() {
  static CountingAllocator allocator;
  static const bool done = [] {
    c10::SetAllocator(c10::kCPU, &allocator, /*priority=*/1);
    return true;
  }();
  (void)done;
}

std::size_t live_bytes() { return live.load(std::memory_order_relaxed); }
std::size_t peak_bytes() { return peak.load(std::memory_order_relaxed); }
std::size_t allocations() { return count.load(std::memory_order_relaxed); }

}  // namespace gradus::memory
