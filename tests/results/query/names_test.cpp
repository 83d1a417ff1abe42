// Which name was meant.
#include "query/names.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cctype>

namespace gradus::results {
namespace {

// Levenshtein's distance by its definition.
std::size_t distance(std::string_view a, std::string_view b) {
  if (a.empty() || b.empty()) return a.size() + b.size();
  const bool other = std::tolower(a[0]) != std::tolower(b[0]);
  return std::min(
      {distance(a.substr(1), b) + 1, distance(a, b.substr(1)) + 1, distance(a.substr(1), b.substr(1)) + other});
}

TEST(Names, TheNearestIsWithinAThirdOfTheWord) {
  std::vector<std::string> words = {""};
  for (std::size_t i = 0; words[i].size() < 4; ++i) {
    for (const char* letter : {"a", "B", "/"}) words.push_back(words[i] + letter);
  }
  for (const std::string& word : words) {
    for (const std::string& other : words) {
      if (other.empty()) continue;
      const bool near = distance(word, other) <= std::max<std::size_t>(word.size() / 3, 1);
      const bool cut = word.size() >= 3 && (other.starts_with(word) || other.ends_with("/" + word));
      ASSERT_EQ(nearest(word, {other}), near || cut ? other : "") << word << " " << other;
    }
  }
}

TEST(Names, TheBestOfSeveral) {
  const std::vector<std::string> known = {"strategies",   "strategy",    "val/loss", "val/acc",
                                          "test/val/acc", "temperature", "Alpha",    "alphas"};
  struct {
    const char *word, *meant;
  } const cases[] = {{"strategi", "strategy"},
                     {"strategie", "strategies"},
                     {"strat", "strategy"},
                     {"acc", "val/acc"},
                     {"los", ""},
                     {"loss", "val/loss"},
                     {"cc", ""},
                     {"alpha", "Alpha"},
                     {"ALPHAS", "alphas"},
                     {"tmperture", "temperature"},
                     {"tempura", ""},
                     {"temp", "temperature"},
                     {"alphab", "Alpha"},
                     {"val/xacc", "val/acc"},
                     {"", ""},
                     {"al", ""}};
  for (const auto& [word, meant] : cases) EXPECT_EQ(nearest(word, known), meant) << word;
  EXPECT_EQ(nearest("x", {}), "");
  EXPECT_EQ(nearest("ab", {"aa", "bb"}), "aa") << "the first of two that are as near";
}

TEST(Names, LooselyIsOneThatDiffersInItsPunctuationAlone) {
  const std::vector<std::string> known = {"val/acc", "val_loss", "a.b", "a-b", "ab"};
  struct {
    const char *name, *meant;
  } const cases[] = {{"val_acc", "val/acc"},
                     {"val.acc", "val/acc"},
                     {"val-acc", "val/acc"},
                     {"val/loss", "val_loss"},
                     {"valacc", ""},
                     {"val/ac", ""},
                     {"a_b", ""},
                     {"a/b", ""},
                     {"ab", "ab"}};
  for (const auto& [name, meant] : cases) EXPECT_EQ(loosely(name, known), meant) << name;
}

}  // namespace
}  // namespace gradus::results
