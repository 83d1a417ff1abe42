// What is read page by page against what SQLite says of the same file.
#include "store/pages.h"

#include <algorithm>
#include <map>

#include "store_fixture.h"

namespace gradus::results {
namespace {

class PagesTest : public StoreTest {
 protected:
  void TearDown() override {
    sqlite3_close(db_);
    StoreTest::TearDown();
  }
  void run(const std::string& sql) {
    if (db_ == nullptr) {
      ASSERT_EQ(sqlite3_open(path_.c_str(), &db_), SQLITE_OK);
      run("PRAGMA page_size = 4096; PRAGMA synchronous = OFF");
    }
    char* error = nullptr;
    sqlite3_exec(db_, sql.c_str(), nullptr, nullptr, &error);
    ASSERT_EQ(error, nullptr) << sql << ": " << error;
  }
  std::uint32_t root(const std::string& name) {
    sqlite3_stmt* statement = nullptr;
    sqlite3_prepare_v2(db_, "SELECT rootpage FROM sqlite_master WHERE name = ?1", -1, &statement, nullptr);
    sqlite3_bind_text(statement, 1, name.c_str(), -1, SQLITE_TRANSIENT);
    EXPECT_EQ(sqlite3_step(statement), SQLITE_ROW);
    const auto page = static_cast<std::uint32_t>(sqlite3_column_int(statement, 0));
    sqlite3_finalize(statement);
    return page;
  }
  // All rows of the tree below a page, in no order.
  static void rows(const PageFile& file, std::uint32_t page, std::vector<RawRow>& all) {
    file.rows(page, [&](RawRow& row) { all.push_back(row); });
    for (const std::uint32_t child : file.children(page)) rows(file, child, all);
  }
  std::vector<RawRow> rows(const std::string& table) {
    const PageFile file(path_);
    std::vector<RawRow> all;
    rows(file, root(table), all);
    return all;
  }

  sqlite3* db_ = nullptr;  // owned
};

TEST_F(PagesTest, IntegersOfEverySizeAndTheOtherKinds) {
  std::vector<Cell> expected = {
      Cell{}, std::int64_t{0}, std::int64_t{1},     std::int64_t{2},      std::int64_t{-1},     0.5,
      -1e300, std::string(),   std::string("text"), std::string(57, 'x'), std::string(58, 'y'), std::string(200, 'z')};
  for (int bits = 7; bits < 64; bits += 8) {
    for (const std::int64_t edge :
         {(std::int64_t{1} << bits) - 1, bits < 63 ? std::int64_t{1} << bits : 5, -(std::int64_t{1} << (bits - 1)) * 2,
          -(std::int64_t{1} << (bits - 1)) * 2 - (bits < 63 ? 1 : 0)})
      expected.push_back(edge);
  }
  run("CREATE TABLE t (a, b, c)");
  sqlite3_stmt* insert = nullptr;
  sqlite3_prepare_v2(db_, "INSERT INTO t (rowid, a, b, c) VALUES (?1, 'before', ?2, 7)", -1, &insert, nullptr);
  for (std::size_t i = 0; i < expected.size(); ++i) {
    sqlite3_bind_int64(insert, 1, static_cast<std::int64_t>(i) * 1'000'003 - 5);
    if (const auto* whole = std::get_if<std::int64_t>(&expected[i]))
      sqlite3_bind_int64(insert, 2, *whole);
    else if (const auto* real = std::get_if<double>(&expected[i]))
      sqlite3_bind_double(insert, 2, *real);
    else if (const auto* text = std::get_if<std::string>(&expected[i]))
      sqlite3_bind_text(insert, 2, text->data(), static_cast<int>(text->size()), SQLITE_TRANSIENT);
    else
      sqlite3_bind_null(insert, 2);
    ASSERT_EQ(sqlite3_step(insert), SQLITE_DONE);
    sqlite3_reset(insert);
  }
  sqlite3_finalize(insert);
  const std::vector<RawRow> found = rows("t");
  ASSERT_EQ(found.size(), expected.size());
  for (std::size_t i = 0; i < found.size(); ++i) {
    EXPECT_FALSE(found[i].index);
    EXPECT_EQ(found[i].rowid, static_cast<std::int64_t>(i) * 1'000'003 - 5);
    EXPECT_EQ(found[i].values, (std::vector<Cell>{std::string("before"), expected[i], std::int64_t{7}})) << i;
  }
}

// Around the lengths from which a text goes on in pages of its own, and where these are full.
TEST_F(PagesTest, TextsOfEveryLength) {
  run("CREATE TABLE t (a TEXT); CREATE TABLE w (a TEXT, b, PRIMARY KEY (a)) WITHOUT ROWID");
  std::multimap<std::string, int> expected;
  const auto add = [&](int length) {
    const std::string text =
        std::string(static_cast<std::size_t>(length), static_cast<char>('a' + length % 26)) + std::to_string(length);
    run("INSERT INTO t VALUES ('" + text + "'); INSERT INTO w VALUES ('" + text + "', " + std::to_string(length) + ")");
    expected.emplace(text, length);
  };
  for (const int middle : {0, 470, 990, 4050, 4540, 8140, 8640, 12250}) {
    for (int length = std::max(0, middle - 20); length < middle + 40; ++length) add(length);
  }
  std::vector<RawRow> plain = rows("t"), keyed = rows("w");
  ASSERT_EQ(plain.size(), expected.size());
  ASSERT_EQ(keyed.size(), expected.size());
  for (const RawRow& row : plain) EXPECT_EQ(expected.count(std::get<std::string>(row.values.at(0))), 1u);
  for (const RawRow& row : keyed) {
    EXPECT_TRUE(row.index);
    EXPECT_EQ(expected.find(std::get<std::string>(row.values.at(0)))->second, std::get<std::int64_t>(row.values.at(1)));
  }
}

// 8 bytes of head, 7 × (2 + 582) of cells: the first cell begins where the list of cells ends.
TEST_F(PagesTest, APageThatIsFull) {
  run("CREATE TABLE t (a)");
  for (int i = 0; i < 7; ++i) run("INSERT INTO t VALUES ('" + std::string(576, 'x') + "')");
  const PageFile file(path_);
  EXPECT_EQ(file.count(), 2u);
  const Page page = file.page(2);
  ASSERT_EQ(page[5] * 256 + page[6], 8 + 7 * 2);
  EXPECT_EQ(rows("t").size(), 7u);
  EXPECT_TRUE(file.children(2).empty());
  EXPECT_TRUE(file.page(3).empty());
}

TEST_F(PagesTest, PagesOfDeletedRowsAreFree) {
  run("CREATE TABLE t (a); CREATE TABLE kept (a); INSERT INTO kept VALUES (1)");
  EXPECT_TRUE(PageFile(path_).free_pages().empty());
  run("WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1300) INSERT INTO t SELECT "
      "zeroblob(3000) FROM n");
  std::vector<RawRow> none;
  rows(PageFile(path_), root("t"), none);
  EXPECT_TRUE(none.empty()) << "a blob is no value of ours";
  run("DROP TABLE t");
  sqlite3_stmt* count = nullptr;
  sqlite3_prepare_v2(db_, "PRAGMA freelist_count", -1, &count, nullptr);
  sqlite3_step(count);
  const auto free = static_cast<std::size_t>(sqlite3_column_int(count, 0));
  sqlite3_finalize(count);
  EXPECT_GT(free, 1100u) << "more than one page of the list holds";
  const auto found = PageFile(path_).free_pages();
  EXPECT_EQ(found.size(), free);
  EXPECT_EQ(found.count(1) + found.count(root("kept")), 0u);
}

// The first page after the file's own may be in any place of any tree.
TEST_F(PagesTest, ThePageThatAnotherTableLeft) {
  run("CREATE TABLE gone (a); CREATE TABLE t (a); DROP TABLE gone");
  for (int i = 0; i < 30; ++i) run("INSERT INTO t VALUES ('" + std::string(1000, 'a') + "')");
  const std::vector<std::uint32_t> below = PageFile(path_).children(root("t"));
  EXPECT_EQ(std::count(below.begin(), below.end(), 2u), 1);
  EXPECT_EQ(rows("t").size(), 30u);
}

// In the WAL only: the committed forms of pages, the newest, and nothing of a transaction that is open.
TEST_F(PagesTest, TheWalCountsUpToItsLastCommit) {
  run("PRAGMA journal_mode = WAL; PRAGMA wal_autocheckpoint = 0; CREATE TABLE t (a)");
  for (int i = 1; i <= 30; ++i) run("INSERT INTO t VALUES ('" + std::string(1000, 'a') + std::to_string(i) + "')");
  EXPECT_EQ(rows("t").size(), 30u);
  run("PRAGMA cache_size = 1; BEGIN; WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 500) "
      "INSERT INTO t SELECT printf('%1000d', i) FROM n");
  EXPECT_EQ(rows("t").size(), 30u) << "what is spilt is not committed";
  run("ROLLBACK; UPDATE t SET a = 'new' WHERE rowid = 3");
  const std::vector<RawRow> found = rows("t");
  EXPECT_EQ(found.size(), 30u);
  EXPECT_EQ(std::count_if(found.begin(), found.end(),
                          [](const RawRow& row) { return row.values.at(0) == Cell(std::string("new")); }),
            1);
  run("PRAGMA wal_checkpoint(TRUNCATE)");
  EXPECT_EQ(rows("t").size(), 30u);
  run("UPDATE t SET a = 'first' WHERE rowid = 30");  // of one page: the log's first frame is its last
  const std::vector<RawRow> after = rows("t");
  EXPECT_EQ(std::count_if(after.begin(), after.end(),
                          [](const RawRow& row) { return row.values.at(0) == Cell(std::string("first")); }),
            1);
  expect_error(Exit::missing, "cannot read", [&] { PageFile(folder_ + "/none"); });
}

}  // namespace
}  // namespace gradus::results
