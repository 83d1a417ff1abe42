// The count of tensor memory, and the blocks that a replayed step uses again.
#include "step/memory.h"

#include <gtest/gtest.h>
#include <malloc.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstring>
#include <optional>
#include <string>

#include "recorded.h"

namespace gradus {
namespace {

at::Tensor bytes(std::size_t count) { return at::empty({static_cast<int64_t>(count)}, at::kByte); }

TEST(Memory, CountsWhatTensorsHold) {
  for (const bool scope : {false, true}) {
    std::optional<memory::BlockScope> blocks;
    if (scope) blocks.emplace();
    const auto live = memory::live_bytes(), count = memory::allocations();
    {
      const at::Tensor one = bytes(5000);
      EXPECT_GE(memory::live_bytes(), live + 5000);
      EXPECT_LE(memory::live_bytes(), live + 6000);
      EXPECT_GE(memory::peak_bytes(), memory::live_bytes());
      EXPECT_EQ(memory::allocations(), count + 1);
      const at::Tensor none = bytes(0);
      EXPECT_EQ(memory::allocations(), count + 1);
    }
    EXPECT_EQ(memory::live_bytes(), live);
    EXPECT_EQ(memory::allocations(), count + 1);
  }
}

TEST(Memory, ThePeakStays) {
  const auto live = memory::live_bytes();
  {
    const at::Tensor most = bytes(memory::peak_bytes() + 1);  // never touched
    EXPECT_EQ(memory::peak_bytes(), memory::live_bytes());
  }
  const auto peak = memory::peak_bytes();
  EXPECT_GT(peak, live);
  const at::Tensor less = bytes(1000);
  EXPECT_EQ(memory::peak_bytes(), peak);
}

// How many allocations it takes to hold so much, where `before` has been given back.
std::size_t taken(std::size_t before, std::size_t now) {
  const memory::BlockScope scope;
  memory::give_back_blocks();
  bytes(before);
  const auto count = memory::allocations();
  bytes(now);
  return memory::allocations() - count;
}

TEST(Memory, ABlockServesItsSizeClassAndNoOther) {
  memory::keep_blocks(true);
  struct {
    std::size_t least, most;  // of one class
  } const classes[] = {{1, 64},
                       {65, 128},
                       {961, 1024},
                       {1025, 1152},
                       {1921, 2048},
                       {2049, 2304},
                       {2305, 2560},
                       {(1 << 20) - (1 << 16) + 1, 1 << 20},
                       {(1 << 20) + 1, (1 << 20) + (1 << 17)}};
  for (const auto& [least, most] : classes) {
    EXPECT_EQ(taken(least, most), 0u) << least;
    EXPECT_EQ(taken(most, least), 0u) << least;
    EXPECT_EQ(taken(most, most + 1), 1u) << least;
    EXPECT_EQ(taken(most + 1, most), 1u) << least;
  }
  memory::keep_blocks(false);
}

TEST(Memory, BlocksAreKeptWhileSomebodyWantsThem) {
  const auto asked = [](bool in_scope = true) {  // allocations for a tensor that is dropped at once
    const auto count = memory::allocations();
    if (in_scope) {
      const memory::BlockScope scope, inner;
      bytes(3000);
    } else {
      bytes(3000);
    }
    return memory::allocations() - count;
  };
  EXPECT_EQ(asked(), 1u);
  EXPECT_EQ(asked(), 1u) << "nobody keeps any";
  memory::keep_blocks(true);
  memory::keep_blocks(true);
  EXPECT_EQ(asked(), 1u);
  EXPECT_EQ(asked(), 0u);
  EXPECT_EQ(asked(false), 1u) << "outside of a scope there are none";
  EXPECT_EQ(asked(), 0u);
  memory::keep_blocks(false);
  EXPECT_EQ(asked(), 0u) << "another one still wants them";
  memory::give_back_blocks();
  EXPECT_EQ(asked(), 1u);
  EXPECT_EQ(asked(), 0u);
  memory::keep_blocks(false);
  memory::keep_blocks(true);
  EXPECT_EQ(asked(), 1u) << "dropped with the last who wanted them";
  memory::keep_blocks(false);
}

TEST(Memory, BlocksThatNobodyKeepsAreFreed) {
  const memory::BlockScope scope;
  const auto before = mallinfo2().uordblks;
  for (int i = 0; i < 1000; ++i) bytes(3000);
  EXPECT_LT(mallinfo2().uordblks, before + 1'000'000);
}

TEST(Memory, TwoBlocksOfASizeAreTwo) {
  memory::keep_blocks(true);
  {
    const memory::BlockScope scope;
    bytes(3000), bytes(3000);
    const at::Tensor one = bytes(3000), two = bytes(3000);
    EXPECT_NE(one.const_data_ptr(), two.const_data_ptr());
  }
  memory::keep_blocks(false);
}

TEST(Memory, WholePagesAreGivenBackAndNoByteMore) {
  const auto page = static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
  const std::size_t size = 4 * page;
  auto* memory = static_cast<char*>(mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
  ASSERT_NE(memory, MAP_FAILED);
  struct {
    std::size_t begin, bytes;
    const char* pages;  // 0: given back, so it reads as zeros
  } const cases[] = {
      {0, size, "0000"},        {1, size - 1, "1000"},    {0, size - 1, "0001"},     {page, 2 * page, "1001"},
      {page + 1, page, "1111"}, {page, page - 1, "1111"}, {1, 2 * page - 1, "1011"}, {0, 0, "1111"}};
  for (const auto& [begin, bytes, pages] : cases) {
    std::memset(memory, 1, size);
    memory::give_back(memory + begin, bytes);
    std::string found;
    for (std::size_t i = 0; i < 4; ++i) {
      const char first = memory[i * page], last = memory[(i + 1) * page - 1];
      EXPECT_EQ(first, last);
      found += first ? '1' : '0';
    }
    EXPECT_EQ(found, pages) << begin << " " << bytes;
  }
  munmap(memory, size);
}

}  // namespace
}  // namespace gradus
