// Every target answers every file of its corpus: good files, and what once broke something.
#include <gtest/gtest.h>

#include <atomic>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <new>

#include "target.h"

namespace {
std::atomic<long> allocations_left{-1};  // the one at 0 fails; below 0 none does
}

void* operator new(std::size_t size) {
  if (allocations_left.load(std::memory_order_relaxed) >= 0 && allocations_left.fetch_sub(1) == 0)
    throw std::bad_alloc();
  void* memory = std::malloc(size ? size : 1);
  if (memory == nullptr) throw std::bad_alloc();
  return memory;
}
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }

namespace gradus::fuzz {
namespace {

namespace fs = std::filesystem;

std::string bytes_of(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

TEST(Fuzz, EveryTargetAnswersItsCorpusAndWhatIsLeftOfIt) {
  EXPECT_GE(targets().size(), 12u);
  for (const Target& target : targets()) {
    const fs::path folder = fs::path(TESTS_DIR) / "fuzz/corpus" / target.name;
    int files = 0;
    for (const auto& entry : fs::directory_iterator(folder)) {
      const std::string bytes = bytes_of(entry.path());
      SCOPED_TRACE(entry.path().string());
      target.run(bytes);
      for (std::size_t size = 0; size < bytes.size(); size += 1 + size / 8)
        target.run(std::string_view(bytes).substr(0, size));
      ++files;
    }
    EXPECT_GT(files, 0) << folder;
  }
}

// The Nth allocation of a reader fails, for every N until none does: nothing ends the program.
TEST(Fuzz, EveryTargetSurvivesEachFailingAllocation) {
  long failures = 0;
  for (const Target& target : targets()) {
    // Protocol Buffers does not survive it, nor nlohmann's JSON, whose destructor allocates, nor the Lua that tries the border.
    const std::string_view name = target.name;
    if (name == "sentencepiece" || name == "safetensors" || name == "snapshot" || name == "where" ||
        name == "request" || name == "border")
      continue;
    for (const auto& entry : fs::directory_iterator(fs::path(TESTS_DIR) / "fuzz/corpus" / target.name)) {
      const std::string bytes = bytes_of(entry.path());
      SCOPED_TRACE(entry.path().string());
      target.run(bytes);  // what is made once and kept is made here
      for (long n = 0, more = 1; more; ++n) {
        allocations_left = n;
        try {
          target.run(bytes);
        } catch (const std::bad_alloc&) {
        }
        more = allocations_left < 0;
        allocations_left = -1;
        failures += more;
      }
    }
  }
  EXPECT_GT(failures, 300);
}

TEST(Fuzz, EveryCorpusHasItsTarget) {
  for (const auto& entry : fs::directory_iterator(fs::path(TESTS_DIR) / "fuzz/corpus")) {
    const std::string name = entry.path().filename();
    EXPECT_TRUE(std::any_of(targets().begin(), targets().end(), [&](const Target& t) { return name == t.name; }))
        << name;
  }
}

}  // namespace
}  // namespace gradus::fuzz
