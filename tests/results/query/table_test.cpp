// Where one way of writing a number or a character ends and the next begins.
#include "query/table.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <random>
#include <sstream>
#include <string>
#include <vector>

#include "query/text_diff.h"
#include "query/words.h"

namespace gradus::results {
namespace {

TEST(TableTest, NumbersAtTheirEdges) {
  const std::pair<double, const char*> cases[] = {{0, "0"},
                                                  {HUGE_VAL, "inf"},
                                                  {-HUGE_VAL, "-inf"},
                                                  {-1, "-1"},
                                                  {999'999'999, "999999999"},
                                                  {1e9, "1e+09"},
                                                  {-1e9, "-1e+09"},
                                                  {999'999'999.5, "999999999.5"},
                                                  {1e-3, "0.001000"},
                                                  {-1e-3, "-0.001000"},
                                                  {9.99e-4, "0.000999"},
                                                  {0.0123456, "0.01235"},
                                                  {0.5, "0.5000"},
                                                  {-0.5, "-0.5000"},
                                                  {1.5, "1.500"},
                                                  {9.9996, "10.000"},
                                                  {10.5, "10.50"},
                                                  {100.25, "100.2"},
                                                  {999.5, "999.5"},
                                                  {1000.5, "1000.5"},
                                                  {-1000.25, "-1000.2"},
                                                  {12345.75, "12345.8"}};
  for (const auto& [value, text] : cases) EXPECT_EQ(number(value), text);
}

// Each part begins with the labels; at the width itself nothing is parted; a column that no line has room for has a part of its own.
TEST(TableTest, WhatIsWiderThanATerminalGoesOnBelow) {
  Table table;
  table.column("name");
  table.column("seed", Align::right);
  table.label();
  for (const char* title : {"loss", "acc", "a note"}) table.column(title, Align::right);
  table.row({"é", "1", "0.5", "0.9", "longer than all"});
  const std::string labels = "name  seed", rule = "────  ────", row = "é        1";
  const std::string whole = labels + "  loss  acc           a note\n" + rule + "  ────  ───  ───────────────\n" + row +
                            "   0.5  0.9  longer than all\n";
  EXPECT_EQ(table.text(false), whole);
  EXPECT_EQ(table.width(), 38);
  EXPECT_EQ(table.text(false, 38), whole);
  EXPECT_EQ(table.text(false, 37), labels + "  loss  acc\n" + rule + "  ────  ───\n" + row + "   0.5  0.9\n\n" +
                                       labels + "           a note\n" + rule + "  ───────────────\n" + row +
                                       "  longer than all\n");
  const std::string parts = labels + "  loss\n" + rule + "  ────\n" + row + "   0.5\n\n" + labels + "  acc\n" + rule +
                            "  ───\n" + row + "  0.9\n\n" + labels + "           a note\n" + rule +
                            "  ───────────────\n" + row + "  longer than all\n";
  EXPECT_EQ(table.text(false, 16), parts);
  EXPECT_EQ(table.text(false, 5), parts);
  EXPECT_EQ(table.text(true, 37).find("\n\n\033[2mname"), table.text(true, 37).rfind("\n\n"));
}

// A text at the end is folded between words where it has room enough, and goes on under itself.
TEST(TableTest, AnEndOfTextIsFolded) {
  Table table;
  table.column("step", Align::right);
  table.column("detail");
  table.row({"12", "one two three four five six seven"});
  table.row({"3", "short"});
  const std::string whole = table.text(false);
  EXPECT_EQ(table.width(), 39);
  EXPECT_EQ(table.text(false, 39), whole);
  std::string rule;
  for (int i = 0; i < 32; ++i) rule += "─";
  EXPECT_EQ(table.text(false, 38),
            "step  detail\n────  " + rule + "\n  12  one two three four five six\n      seven\n   3  short\n");
  EXPECT_NE(table.text(false, 36).find("\n  12  one two three four five six\n      seven\n"), std::string::npos);
  EXPECT_EQ(table.text(false, 35), whole) << "no room to fold it";
  Table words;
  words.column("a");
  words.row({std::string(40, 'x') + " y  z"});
  EXPECT_NE(words.text(false, 30).find("\n" + std::string(40, 'x') + "\ny  z\n"), std::string::npos);
  Table numbers;
  numbers.column("a");
  numbers.column("b", Align::right);
  numbers.row({"1", "one two three four five six seven"});
  EXPECT_EQ(numbers.text(false, 34), numbers.text(false)) << "numbers are not folded";
}

TEST(TableTest, MeansAndDeviationsAtTheirEdges) {
  struct {
    double mean, sd;
    const char* text;
  } const cases[] = {{0.5, HUGE_VAL, "0.5000"},
                     {HUGE_VAL, 1, "inf"},
                     {std::nan(""), 1, "nan"},
                     {0.123456789, 1e-5, "0.123457 ± 0.000010"},
                     {0.123456789, 9e-6, "0.1235 ± 9e-06"},
                     {123456.7, 99999, "123457 ± 99999"},
                     {123456.7, 1e5, "1.235e+05 ± 1e+05"},
                     {1.25, 1, "1.2 ± 1.0"},
                     {1.25, 9.99, "1.2 ± 10.0"},
                     {11.25, 10, "11 ± 10"},
                     {1.25, 0.1, "1.25 ± 0.10"},
                     {-2, 0.5, "-2.00 ± 0.50"}};
  for (const auto& one : cases) EXPECT_EQ(mean_sd(one.mean, one.sd), one.text);
}

TEST(TableTest, IntervalsAtTheirEdges) {
  struct {
    double low, high;
    const char* text;
  } const cases[] = {{0, HUGE_VAL, "[0, inf]"},  {2, 1, "[2, 1]"},
                     {0, 1, "[0.00, 1.00]"},     {0, 9.99, "[0.00, 9.99]"},
                     {0, 10, "[0.0, 10.0]"},     {0, 100, "[0, 100]"},
                     {0, 99999, "[0, 99999]"},   {0, 1e5, "[0, 1e+05]"},
                     {0, 0.1, "[0.000, 0.100]"}, {0, 2e-6, "[0.00000000, 0.00000200]"},
                     {0, 9e-7, "[0, 9e-07]"},    {-0.5, 0.5, "[-0.50, 0.50]"}};
  for (const auto& one : cases) EXPECT_EQ(interval(one.low, one.high), one.text);
}

TEST(TableTest, DurationsAtTheirEdges) {
  const std::pair<double, const char*> cases[] = {{0, "0 ms"},
                                                  {0.0004, "0 ms"},
                                                  {0.9994, "999 ms"},
                                                  {0.9995, "1.0 s"},
                                                  {1.25, "1.2 s"},
                                                  {59.9, "59.9 s"},
                                                  {60, "1 min 00 s"},
                                                  {61.9, "1 min 01 s"},
                                                  {3599.9, "59 min 59 s"},
                                                  {3600, "1 h 00 min"},
                                                  {3660, "1 h 01 min"},
                                                  {7199, "1 h 59 min"},
                                                  {360'000, "100 h 00 min"}};
  for (const auto& [seconds, text] : cases) EXPECT_EQ(duration(seconds), text);
}

std::string utf8(std::uint32_t c) {
  const auto tail = [&](int shift) { return static_cast<char>(0x80 | (c >> shift & 0x3f)); };
  if (c < 0x80) return {static_cast<char>(c)};
  if (c < 0x800) return {static_cast<char>(0xc0 | c >> 6), tail(0)};
  if (c < 0x10000) return {static_cast<char>(0xe0 | c >> 12), tail(6), tail(0)};
  return {static_cast<char>(0xf0 | c >> 18), tail(12), tail(6), tail(0)};
}

TEST(TableTest, WidthsOfCharacters) {
  struct {
    std::uint32_t first, last;
    int width;
  } const ranges[] = {{0x300, 0x36f, 0},    {0x200b, 0x200f, 0}, {0x20d0, 0x20ff, 0}, {0xfe00, 0xfe0f, 0},
                      {0x1100, 0x115f, 2},  {0x2e80, 0xa4cf, 2}, {0xac00, 0xd7a3, 2}, {0xf900, 0xfaff, 2},
                      {0xfe30, 0xfe6f, 2},  {0xff00, 0xff60, 2}, {0xffe0, 0xffe6, 2}, {0x1f300, 0x1faff, 2},
                      {0x20000, 0x3fffd, 2}};
  for (const auto& range : ranges) {
    for (const std::uint32_t c : {range.first, range.first + 1, range.last})
      EXPECT_EQ(display_width("a" + utf8(c) + "b"), 2 + range.width) << std::hex << c;
    for (const std::uint32_t c : {range.first - 1, range.last + 1})
      EXPECT_EQ(display_width("a" + utf8(c) + "b"), 3) << std::hex << c;
  }
  EXPECT_EQ(display_width(""), 0);
}

// What is no UTF-8 is one replacement character a byte, and takes nothing of what follows.
TEST(TableTest, BytesThatAreNoText) {
  const std::string r = "\xef\xbf\xbd";
  const std::pair<std::string, std::string> cases[] = {{"a\x80z", "a" + r + "z"},
                                                       {"\xc3", r},
                                                       {"\xc3\xa9", "é"},
                                                       {"\xc3z", r + "z"},
                                                       {"\xc3\xc3\xa9", r + "é"},
                                                       {"\xe6\x97", r + r},
                                                       {"\xe6\x97\xa5", "日"},
                                                       {"\xe6z\xa5", r + "z" + r},
                                                       {"\xf0\x9f\x98\x80", "😀"},
                                                       {"\xf0\x9f\x98", r + r + r},
                                                       {"\xf8\x80\x80\x80\x80", r + r + r + r + r},
                                                       {"\x1f \x7f\xc2\x80\xc2\x9f\xc2\xa0", "     \xc2\xa0"}};
  for (const auto& [bytes, text] : cases) EXPECT_EQ(printable(bytes), text);
  EXPECT_EQ(printable(utf8(0x2029) + utf8(0x202a) + utf8(0x202e) + utf8(0x202f)), utf8(0x2029) + "  " + utf8(0x202f))
      << "no turned text";
}

TEST(TableTest, CutToColumns) {
  const std::pair<int, const char*> cases[] = {{0, "ab日cd"}, {-1, "ab日cd"}, {6, "ab日cd"}, {5, "ab日…"},
                                               {4, "ab…"},    {3, "ab…"},     {2, "a…"},     {1, "…"}};
  for (const auto& [columns, text] : cases) EXPECT_EQ(printable("ab日cd", columns), text) << columns;
}

TEST(TableTest, ColoursTakeNoRoomAndRowsAreFilledUp) {
  Table table;
  table.column("a\n"), table.column("b", Align::right), table.column("c");
  table.row({"\033[1m\033[32mlong\033[0m", "7"});
  table.row({"x\033[", "123", "z"});
  table.row({});
  EXPECT_EQ(table.text(false), "a       b  c\n────  ───  ─\n\033[1m\033[32mlong\033[0m    7\nx\033[     123  z\n\n");
  EXPECT_EQ(table.text(true).substr(0, 4), "\033[2m");
  EXPECT_NE(table.text(true).find("─\n\033[0m"), std::string::npos);
}

TEST(TextDiffTest, HunksAndTheirRanges) {
  const std::string ten = "1\n2\n3\n4\n5\n6\n7\n8\n9\n10\n";
  const auto without = [&](const std::string& line) {
    std::string text = ten;
    return text.erase(text.find(line + "\n"), line.size() + 1);
  };
  struct {
    std::string a, b, hunks;
    int context;
  } const cases[] = {
      {ten, without("5"), "@@ -4,3 +4,2 @@\n 4\n-5\n 6\n", 1},
      {ten, without("5"), "@@ -5 +4,0 @@\n-5\n", 0},
      {without("5"), ten, "@@ -4,0 +5 @@\n+5\n", 0},
      {ten, without("1"), "@@ -1,3 +1,2 @@\n-1\n 2\n 3\n", 2},
      {ten, without("10"), "@@ -9,2 +9 @@\n 9\n-10\n", 1},
      {"a\nb\nc\nd\n", "A\nb\nc\nD\n", "@@ -1,4 +1,4 @@\n-a\n+A\n b\n c\n-d\n+D\n", 1},
      {"a\nb\nc\nd\ne\n", "A\nb\nc\nd\nE\n", "@@ -1,2 +1,2 @@\n-a\n+A\n b\n@@ -4,2 +4,2 @@\n d\n-e\n+E\n", 1},
      {"a\nb\nc\nd\ne\n", "A\nb\nc\nd\nE\n", "@@ -1,5 +1,5 @@\n-a\n+A\n b\n c\n d\n-e\n+E\n", 2},
      {"a", "", "@@ -1 +0,0 @@\n-a\n\\ No newline at end of file\n", 3},
      {"a\nb\nc\na\nb\nb\na\n", "c\nb\na\nb\na\nc\n", "@@ -1,7 +1,6 @@\n-a\n-b\n c\n+b\n a\n b\n-b\n a\n+c\n", 3},
      {"x\nx\n", "x\nx\nx\n", "@@ -1,2 +1,3 @@\n x\n x\n+x\n", 3},
  };
  for (const auto& one : cases)
    EXPECT_EQ(unified_diff(one.a, one.b, "x", "y", one.context), "--- x\n+++ y\n" + one.hunks);
}

// What a reader of hunks makes of them: the other text, by as few lines as can be, with as much around them as was asked for.
TEST(TextDiffTest, HunksAreShortestAndLeadToTheOtherText) {
  std::mt19937 random(3);
  const auto lines = [&] {
    std::vector<std::string> list(random() % 12);
    for (std::string& line : list) line = std::string(1, static_cast<char>('a' + random() % 3));
    return list;
  };
  const auto text = [](const std::vector<std::string>& list) {
    std::string all;
    for (const std::string& line : list) all += line + "\n";
    return all;
  };
  for (int round = 0; round < 3000; ++round) {
    const std::vector<std::string> a = lines(), b = lines();
    const std::size_t context = random() % 4;
    std::vector<std::vector<std::size_t>> common(a.size() + 1, std::vector<std::size_t>(b.size() + 1));
    for (std::size_t i = 1; i <= a.size(); ++i) {
      for (std::size_t j = 1; j <= b.size(); ++j)
        common[i][j] = a[i - 1] == b[j - 1] ? common[i - 1][j - 1] + 1 : std::max(common[i - 1][j], common[i][j - 1]);
    }
    std::istringstream hunks(unified_diff(text(a), text(b), "x", "y", static_cast<int>(context)));
    SCOPED_TRACE(hunks.str());
    std::vector<std::string> made;
    std::size_t at = 0, changes = 0, around = 0;  // around: unchanged lines of the hunk since its last change
    bool changed = true, first = true;            // whether the hunk has come to one
    const auto ends = [&] {
      EXPECT_TRUE(first || (changed && (around == context || (around < context && at == a.size()))));
    };
    for (std::string line; std::getline(hunks, line);) {
      if (line.starts_with("---") || line.starts_with("+++")) continue;
      if (line[0] == '@') {
        std::size_t begin = 0, count = 1;
        std::sscanf(line.c_str(), "@@ -%zu,%zu", &begin, &count);
        begin -= count > 0;
        ends();
        ASSERT_TRUE(first ? begin >= at : begin > at) << "else it were one hunk";
        while (at < begin) made.push_back(a[at++]);
        around = 0, changed = first = false;
        continue;
      }
      if (line[0] == '+')
        made.push_back(line.substr(1));
      else
        ASSERT_EQ(a.at(at++), line.substr(1));
      if (line[0] == ' ') {
        made.push_back(line.substr(1));
        ASSERT_LE(++around, changed ? 2 * context : context);
        continue;
      }
      EXPECT_TRUE(changed || around == context || at - (line[0] == '-') == around)
          << "less than asked for only where the text begins";
      changed = true, around = 0, ++changes;
    }
    ends();
    while (at < a.size()) made.push_back(a[at++]);
    EXPECT_EQ(made, b);
    EXPECT_EQ(changes, a.size() + b.size() - 2 * common[a.size()][b.size()]);
  }
}

// Past the most edits that are looked for, all of the one goes and all of the other comes: between what both begin and end with.
TEST(TextDiffTest, TooManyEditsAreOneReplacement) {
  std::string a = "head\n", b = "head\n";
  for (int i = 0; i < kMostEdits / 2 + 1; ++i) a += "a" + std::to_string(i) + "\n", b += "b" + std::to_string(i) + "\n";
  const std::string all = unified_diff(a + "tail\n", b + "tail\n", "x", "y", 1);
  const std::string count = std::to_string(kMostEdits / 2 + 3);
  EXPECT_EQ(all.substr(0, all.find("\n-")), "--- x\n+++ y\n@@ -1," + count + " +1," + count + " @@\n head");
  EXPECT_NE(all.find("\n-a1\n-a2\n"), std::string::npos);
  EXPECT_NE(all.find("\n+b1\n+b2\n"), std::string::npos);
  EXPECT_EQ(all.substr(all.size() - 6), " tail\n");
}

}  // namespace
}  // namespace gradus::results
