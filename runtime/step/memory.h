// Bytes of tensor memory in use. LuaJIT cannot see them, so the collector is driven by this count.
#pragma once

#include <cstddef>

namespace gradus::memory {

// Puts a counting allocator in front of LibTorch's CPU allocator, once per process, before the first tensor.
void install();

// Bytes that CPU tensors hold now, and the most they ever held.
std::size_t live_bytes();
std::size_t peak_bytes();
// Number of allocations from the system so far: a warm step must not change it.
std::size_t allocations();

// While one lives, what this thread allocates comes from blocks that such scopes gave back before, where one fits.
class BlockScope {
 public:
  BlockScope();
  ~BlockScope();
  BlockScope(const BlockScope&) = delete;
};

// Blocks are kept as long as there is somebody who wants them (plans): each calls once with true, once with false.
void keep_blocks(bool on);
// Frees the blocks that are kept and unused, and tells the system what it may take back.
void give_back_blocks();
// The values in this memory are no longer wanted; it may be used again.
void give_back(void* begin, std::size_t bytes);

}  // namespace gradus::memory
