// What `gradus sql` may call besides SQLite's own functions.
#include "store/functions.h"

#include <cmath>

#include "store_fixture.h"

namespace gradus::results {
namespace {

using namespace std::string_literals;

class FunctionsTest : public StoreTest {
 protected:
  void SetUp() override {
    StoreTest::SetUp();
    store_ = create();
  }
  std::string value(const std::string& sql) { return ask(*store_, "SELECT " + sql); }

  std::shared_ptr<Store> store_;
};

TEST(AreaTest, HasTheUnitOfTheValues) {
  Area area;
  EXPECT_TRUE(std::isnan(area.mean_height()));
  area.add(10, NAN);
  EXPECT_TRUE(std::isnan(area.mean_height()));
  struct {
    double step, value, height;
  } const points[] = {{10, 4, 4}, {10, 6, 6}, {14, 2, 4}, {16, 8, (16 + 10) / 6.0}, {17, NAN, (16 + 10) / 6.0}};
  for (const auto& [step, value, height] : points) {
    area.add(step, value);
    EXPECT_DOUBLE_EQ(area.mean_height(), height) << step;
  }
}

TEST_F(FunctionsTest, Areas) {
  const std::pair<const char*, const char*> cases[] = {
      {"(1, 3), (3, 5)", "4"}, {"(1, 3), (2, NULL), (3, 5)", "4"}, {"(2, NULL)", "NULL"},
      {"(5, 7)", "7"},         {"(0, -1), (4, 1)", "0"},           {"(1, 3), (3, 5), (4, 5)", "4.33333333333333"}};
  for (const auto& [rows, area] : cases)
    EXPECT_EQ(value("auc(column1, column2) FROM (VALUES "s + rows + ")"), area) << rows;
  EXPECT_EQ(value("auc(1, 1) WHERE 0"), "NULL") << "of no rows";
}

TEST_F(FunctionsTest, PatternsFoundAnywhereInTheText) {
  const std::pair<const char*, const char*> cases[] = {
      {"'abc' REGEXP 'b'", "1"},         {"'abc' REGEXP '^a'", "1"},    {"'abc' REGEXP '^b'", "0"},
      {"'abc' REGEXP 'c$'", "1"},        {"'abbc' REGEXP 'ab+c'", "1"}, {"'ac' REGEXP 'ab+c'", "0"},
      {"'x' REGEXP '(a|x)'", "1"},       {"'' REGEXP 'a'", "0"},        {"5 REGEXP '5'", "NULL"},
      {"NULL REGEXP 'a'", "NULL"},       {"x'61' REGEXP 'a'", "NULL"},  {"'a' REGEXP NULL", "1"},
      {"'a1' REGEXP '[[:digit:]]'", "1"}};
  for (const auto& [sql, answer] : cases) EXPECT_EQ(value(sql), answer) << sql;
  EXPECT_EQ(value("group_concat(column1) FROM (VALUES ('ab'), ('b'), ('bab')) WHERE column1 REGEXP 'ab'"), "ab,bab");
  EXPECT_EQ(
      value("group_concat(column1 REGEXP column2) FROM (VALUES ('ab', 'a'), ('b', 'a'), ('ba', '^b'), ('ba', '^a'))"),
      "1,0,1,0")
      << "a pattern for each row";
  expect_error(Exit::usage, "bad regular expression '('; got Unmatched ( or \\(", [&] { value("'a' REGEXP '('"); });
  expect_error(Exit::usage, "bad regular expression",
               [&] { value("group_concat(x) FROM (SELECT 'a' AS x UNION SELECT 'b') WHERE x REGEXP '['"); });
}

}  // namespace
}  // namespace gradus::results
