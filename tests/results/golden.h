// Texts that are looked at once and kept, tests/results/data/golden/: drawings and pages, where a hundred small numbers make one picture.
// GRADUS_GOLDEN=1 writes what is there now; look at the difference before you commit it.
#pragma once

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <sstream>
#include <string>

namespace gradus::results {

inline void expect_golden(const std::string& name, const std::string& text) {
  const std::string path = std::string(TESTS_DIR) + "/results/data/golden/" + name;
  if (std::getenv("GRADUS_GOLDEN") != nullptr) {
    std::filesystem::create_directories(std::filesystem::path(path).parent_path());
    std::ofstream(path) << text;
  }
  std::ifstream file(path);
  const std::string kept{std::istreambuf_iterator<char>(file), {}};
  std::istringstream ours(text), theirs(kept);
  std::string a, b;
  for (int line = 1; text != kept; ++line) {
    const bool more = static_cast<bool>(std::getline(ours, a)), others = static_cast<bool>(std::getline(theirs, b));
    if (more && others && a == b) continue;
    ADD_FAILURE() << name << ":" << line << "\n  kept: " << (others ? b : "(the end)")
                  << "\n  now:  " << (more ? a : "(the end)");
    return;
  }
}

}  // namespace gradus::results
