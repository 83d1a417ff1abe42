#include "memory.h"

#include <c10/core/Allocator.h>
#include <c10/core/impl/alloc_cpu.h>
#include <malloc.h>
#include <sys/mman.h>
#include <unistd.h>

#include <atomic>
#include <mutex>
#include <unordered_map>
#include <vector>

#include "torch.h"

namespace gradus::memory {
namespace {

std::atomic<std::size_t> live{0};
std::atomic<std::size_t> peak{0};
std::atomic<std::size_t> count{0};

// Blocks that were given back, by size: a replayed step asks for the same sizes in every call.
class Blocks {
 public:
  // Sizes step by 64 bytes, above 1 KiB by an eighth: more than what malloc adds, so that a block returns to its class.
  static std::size_t rounded(std::size_t bytes) {
    const std::size_t step = step_at(bytes);
    return (bytes + step - 1) / step * step;
  }
  void* take(std::size_t size) {
    const std::lock_guard<std::mutex> lock(mutex_);
    const auto place = free_.find(size);
    if (place == free_.end() || place->second.empty()) return nullptr;
    void* pointer = place->second.back();
    place->second.pop_back();
    return pointer;
  }
  bool give(void* pointer) {
    const std::size_t usable = malloc_usable_size(pointer), step = step_at(usable);
    const std::lock_guard<std::mutex> lock(mutex_);
    if (keepers_ == 0) return false;
    free_[usable / step * step].push_back(pointer);
    return true;
  }
  void keep(bool on) {
    const std::lock_guard<std::mutex> lock(mutex_);
    keepers_ += on ? 1 : -1;
    if (keepers_ == 0) drop();
  }
  void give_back() {
    const std::lock_guard<std::mutex> lock(mutex_);
    drop();
  }

 private:
  void drop() {
    for (auto& [size, list] : free_)
      for (void* pointer : list) c10::free_cpu(pointer);
    free_.clear();
  }
  static std::size_t step_at(std::size_t bytes) {
    std::size_t step = 64;
    while (step * 16 <= bytes) step *= 2;
    return step;
  }
  std::mutex mutex_;
  std::unordered_map<std::size_t, std::vector<void*>> free_;
  int keepers_ = 0;
};

Blocks& blocks() {
  static Blocks* kept = new Blocks;  // never destroyed: tensors may be freed after static objects
  return *kept;
}

thread_local int block_scopes = 0;

void free_counted(void* pointer) {
  if (!pointer) return;
  live.fetch_sub(malloc_usable_size(pointer), std::memory_order_relaxed);
  c10::free_cpu(pointer);
}

void free_block(void* pointer) {
  if (!pointer) return;
  live.fetch_sub(malloc_usable_size(pointer), std::memory_order_relaxed);
  if (!blocks().give(pointer)) c10::free_cpu(pointer);
}

void add_live(std::size_t bytes) {
  const std::size_t now = live.fetch_add(bytes, std::memory_order_relaxed) + bytes;
  std::size_t seen = peak.load(std::memory_order_relaxed);
  while (now > seen && !peak.compare_exchange_weak(seen, now, std::memory_order_relaxed)) {
  }
}

class CountingAllocator final : public c10::Allocator {
 public:
  c10::DataPtr allocate(std::size_t bytes) override {
    if (block_scopes > 0 && bytes > 0) return allocate_block(Blocks::rounded(bytes));
    void* pointer = c10::alloc_cpu(bytes);
    if (pointer) {
      add_live(malloc_usable_size(pointer));
      count.fetch_add(1, std::memory_order_relaxed);
    }
    return {pointer, pointer, &free_counted, c10::Device(c10::kCPU)};
  }
  c10::DeleterFnPtr raw_deleter() const override { return &free_counted; }
  void copy_data(void* target, const void* source, std::size_t bytes) const override {
    default_copy_data(target, source, bytes);
  }

 private:
  static c10::DataPtr allocate_block(std::size_t bytes) {
    void* pointer = blocks().take(bytes);
    if (!pointer) {
      pointer = c10::alloc_cpu(bytes);
      count.fetch_add(1, std::memory_order_relaxed);
    }
    add_live(malloc_usable_size(pointer));
    return {pointer, pointer, &free_block, c10::Device(c10::kCPU)};
  }
};

}  // namespace

void install() {
  static CountingAllocator allocator;
  static std::once_flag once;
  std::call_once(once, [] {
    // What operators free between two steps is wanted again in the next one: the system need not clear it each time.
    mallopt(M_MMAP_THRESHOLD, 8 << 20);
    mallopt(M_TRIM_THRESHOLD, 32 << 20);
    c10::SetAllocator(c10::kCPU, &allocator, /*priority=*/1);
  });
}

BlockScope::BlockScope() { ++block_scopes; }
BlockScope::~BlockScope() { --block_scopes; }
void keep_blocks(bool on) { blocks().keep(on); }

void give_back_blocks() {
  blocks().give_back();
  malloc_trim(0);
}

void give_back(void* begin, std::size_t bytes) {
  const auto page = static_cast<std::uintptr_t>(sysconf(_SC_PAGESIZE));
  const std::uintptr_t first = (reinterpret_cast<std::uintptr_t>(begin) + page - 1) / page * page;
  const std::uintptr_t last = (reinterpret_cast<std::uintptr_t>(begin) + bytes) / page * page;
  if (first < last) madvise(reinterpret_cast<void*>(first), last - first, MADV_DONTNEED);
}

std::size_t live_bytes() { return live.load(std::memory_order_relaxed); }
std::size_t peak_bytes() { return peak.load(std::memory_order_relaxed); }
std::size_t allocations() { return count.load(std::memory_order_relaxed); }

}  // namespace gradus::memory
