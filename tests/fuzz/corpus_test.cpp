// Every target answers every file of its corpus: good files, and what once broke something.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <iterator>

#include "target.h"

namespace gradus::fuzz {
namespace {

namespace fs = std::filesystem;

std::string bytes_of(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

TEST(Fuzz, EveryTargetAnswersItsCorpusAndWhatIsLeftOfIt) {
  EXPECT_GE(targets().size(), 9u);
  for (const Target& target : targets()) {
    const fs::path folder = fs::path(TESTS_DIR) / "fuzz/corpus" / target.name;
    int files = 0;
    for (const auto& entry : fs::directory_iterator(folder)) {
      const std::string bytes = bytes_of(entry.path());
      SCOPED_TRACE(entry.path().string());
      target.run(bytes);
      for (std::size_t size = 0; size < bytes.size(); size += 1 + size / 8) target.run(std::string_view(bytes).substr(0, size));
      ++files;
    }
    EXPECT_GT(files, 0) << folder;
  }
}

TEST(Fuzz, EveryCorpusHasItsTarget) {
  for (const auto& entry : fs::directory_iterator(fs::path(TESTS_DIR) / "fuzz/corpus")) {
    const std::string name = entry.path().filename();
    EXPECT_TRUE(std::any_of(targets().begin(), targets().end(), [&](const Target& t) { return name == t.name; })) << name;
  }
}

}  // namespace
}  // namespace gradus::fuzz
