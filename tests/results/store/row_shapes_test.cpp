// Which table a row is of, by what is in it and by the tree that its page is in.
#include "store/row_shapes.h"

#include "raw_pages.h"

namespace gradus::results {
namespace {

using namespace std::string_literals;

class RowShapesTest : public RawPages {
 protected:
  // One letter a column: - NULL, i an integer, r a number, t a text, u and s hex digits.
  static RawRow row(bool index, const std::string& letters) {
    RawRow made{index, 1, {}};
    for (const char letter : letters) {
      switch (letter) {
        case 'i':
          made.values.emplace_back(std::int64_t{3});
          break;
        case 'r':
          made.values.emplace_back(0.5);
          break;
        case 't':
          made.values.emplace_back("text"s);
          break;
        case 'u':
          made.values.emplace_back(std::string(31, '0') + "f");
          break;
        case 's':
          made.values.emplace_back(std::string(63, '9') + "a");
          break;
        default:
          made.values.emplace_back();
      }
    }
    return made;
  }
  static std::string table(const Trees& trees, const RawRow& row, std::uint32_t page = 2) {
    const Shape* shape = trees.table_of(row, page);
    return shape ? shape->tree : "-";
  }
  // A row of sqlite_schema on a leaf.
  static std::string schema(const std::string& name, int root) {
    const std::string record = "\6\x13"s + static_cast<char>(13 + 2 * name.size()) + "\x13\x01\x13"s + "typ" + name +
                               "tab" + static_cast<char>(root) + "sql";
    return static_cast<char>(record.size()) + "\1"s + record;
  }
};

TEST_F(RowShapesTest, ByWhatIsInThem) {
  write({tree(kTableLeaf, {})});
  const PageFile file(path_);
  const Trees trees(file);
  EXPECT_FALSE(trees.reached(2));
  struct {
    bool index;
    const char *letters, *table;
  } const cases[] = {
      {false, "-utttittririttttttitttttt", "-"},
      {false, "-utttitttriittttttittttt", "-"},
      {false, "-utttitttriitttttittttt", "runs"},
      {false, "-uttt--t-------------", "runs"},
      {false, "-uttt--t------------", "-"},
      {false, "-uttt--t---------------", "runs"},
      {false, "-uttt--t----------------", "-"},
      {false, "-tttt--t-------------", "-"},
      {false, "-sttt--t-------------", "-"},
      {false, "iuttt--t-------------", "-"},
      {false, "-uttt--i-------------", "-"},
      {false, "-uttt-------------t--", "-"},
      {false, "-t", "keys"},
      {false, "-t-", "keys"},
      {false, "-tt", "keys"},
      {false, "-ti", "-"},
      {false, "-t--", "-"},
      {false, "-", "-"},
      {false, "--", "-"},
      {false, "-i", "-"},
      {false, "it", "-"},
      {false, "-iitttt", "events"},
      {false, "-i-tt--", "events"},
      {false, "-i-tt-", "-"},
      {false, "-i-t---", "-"},
      {false, "--ttt--", "-"},
      {false, "st", "sources"},
      {false, "ss", "sources"},
      {false, "ut", "-"},
      {false, "s-", "-"},
      {false, "-ii", "drained"},
      {false, "-i-", "-"},
      {false, "-ir", "-"},
      {false, "ti", "sqlite_sequence"},
      {false, "si", "sqlite_sequence"},
      {false, "tr", "-"},
      {false, "t-", "-"},
      {false, "iiir", "-"},
      {true, "iiir", "metric_values"},
      {true, "iiii", "metric_values"},
      {true, "iii-", "metric_values"},
      {true, "iiit", "-"},
      {true, "iii", "-"},
      {true, "ii-r", "-"},
      {true, "iirrriiiii", "summary_values"},
      {true, "ii-----iii", "summary_values"},
      {true, "ii------ii", "-"},
      {true, "iirrrrriii", "-"},
      {true, "iiririr", "-"},
      {true, "iirirr", "progress"},
      {true, "ii----", "progress"},
      {true, "iirrrr", "-"},
      {true, "itit", "params"},
      {true, "it-t", "params"},
      {true, "itrt", "params"},
      {true, "ittt", "params"},
      {true, "itt-", "-"},
      {true, "-ttt", "-"},
      {true, "its", ""},
      {true, "itt", "tags"},
      {true, "itu", "tags"},
      {true, "it-", "-"},
      {true, "itt--", "artifacts"},
      {true, "itttt", "-"},
      {true, "itsti", "artifacts"},
      {true, "it-ti", "-"},
      {true, "ui", "sqlite_autoindex_runs_1"},
      {true, "ti", "sqlite_autoindex_keys_1"},
      {true, "tii", "params_key"},
      {true, "t-i", "params_key"},
      {true, "tti", "params_key"},
      {true, "tt-", "-"},
      {true, "-t", "-"},
      {true, "st", "-"},
  };
  for (const auto& [index, letters, expected] : cases)
    EXPECT_EQ(table(trees, row(index, letters)), expected) << letters;
  RawRow upper = row(true, "ui");
  for (const char* other :
       {"0000000000000000000000000000000F", "0000000000000000000000000000000g", "000000000000000000000000000000"}) {
    upper.values[0] = std::string(other);
    EXPECT_EQ(table(trees, upper), "sqlite_autoindex_keys_1") << other;
  }
}

TEST_F(RowShapesTest, ByTheTreeOfTheirPage) {
  const std::string five = "\x0b\1\6\x09\x09\x09\x09\x09\0\0\0\0\0"s, texts = "\x0b\1\6\x0f\x0f\x0f\x0f\x0f"s + "abcde";
  const std::string four = "\x09\1\5\x0f\x0f\x0f\x01"s + "abc\x0a";
  const std::string pointers = "\0\0\0\7\2\x01\x01"s;  // of an inner page: the page below, then a row's number
  write({tree(kTableLeaf, {schema("runs", 3), schema("tags", 4), schema("tags", 4), schema("run_sources", 5),
                           schema("mine", 6), schema("keys", 8), schema("events", 8), schema("events", 0),
                           schema("events", 1), schema("events", 99), five, texts, four}),
         tree(kTableLeaf, {}), tree(kTableInterior, {pointers}, 4), tree(kTableLeaf, {}), tree(kTableLeaf, {}),
         tree(kTableLeaf, {}), tree(kTableLeaf, {}), tree(kTableLeaf, {}), tree(kTableLeaf, {schema("drained", 9)})});
  const PageFile file(path_);
  ASSERT_EQ(file.count(), 10U);
  const Trees trees(file);
  std::string reached;
  for (std::uint32_t page = 1; page <= file.count(); ++page)
    reached += trees.reached(page) ? std::to_string(page) + " " : "";
  EXPECT_EQ(reached, "3 4 5 6 7 9 ") << "neither what two trees lead to nor what none does";
  const RawRow source = row(true, "its"), value = row(true, "iiir");
  EXPECT_EQ(table(trees, source, 2), "");
  EXPECT_EQ(table(trees, source, 4), "tags");
  EXPECT_EQ(table(trees, source, 5), "run_sources");
  EXPECT_EQ(table(trees, source, 6), "-") << "somebody else's";
  EXPECT_EQ(table(trees, source, 7), "tags") << "below the root";
  EXPECT_EQ(table(trees, source, 8), "");
  EXPECT_EQ(table(trees, value, 4), "metric_values") << "the page has been used again";
}

}  // namespace
}  // namespace gradus::results
