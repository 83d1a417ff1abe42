// What is read page by page against what SQLite says of the same file.
#include "store/pages.h"

#include <sys/resource.h>

#include <algorithm>
#include <fstream>
#include <map>
#include <set>

#include "raw_pages.h"
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

class RawPagesTest : public RawPages {
 protected:
  // The rows of the second page, each as its values, "-" for NULL.
  std::string rows() const {
    std::string all;
    PageFile(path_).rows(2, [&](RawRow& row) {
      all += "(";
      for (const Cell& value : row.values) {
        const auto* text = std::get_if<std::string>(&value);
        const auto* whole = std::get_if<std::int64_t>(&value);
        all += (all.back() == '(' ? "" : " ") + (text ? *text : whole ? std::to_string(*whole) : "-");
      }
      all += ")";
    });
    return all;
  }
  std::string rows(const std::vector<std::string>& pages) const {
    write(pages);
    return rows();
  }
};

using namespace std::string_literals;

TEST_F(RawPagesTest, RecordsAtTheirEdges) {
  const std::pair<std::string, const char*> cases[] = {{"\2\x08"s, "(0)"},
                                                       {"\2\x09"s, "(1)"},
                                                       {"\3\x09\0"s, "(1 -)"},
                                                       {"\2\x0d"s, "()"},
                                                       {"\2\x0f"s + "a", "(a)"},
                                                       {"\2\x11"s + "ab", "(ab)"},
                                                       {"\2\x01\xff"s, "(-1)"},
                                                       {"\2\x02\x01\x02"s, "(258)"},
                                                       {"\2\x0a"s, ""},
                                                       {"\2\x0b"s, ""},
                                                       {"\2\x0c"s, ""},
                                                       {"\2\x0e"s, ""},
                                                       {"\2\x0e"s + "a", ""},
                                                       {"\2\x10"s + "a", ""},
                                                       {"\2\x0f"s, ""},
                                                       {"\2\x0f"s + "ab", ""},
                                                       {"\1"s, ""},
                                                       {"\0"s, ""},
                                                       {"\5\x09"s, ""},
                                                       {"\3\x09"s, ""},
                                                       {"\2\x81\x0f"s, ""},
                                                       {"\2\x81"s, ""},
                                                       {""s, ""},
                                                       {"\3\x09\x0f"s, ""},
                                                       {"\2\x0f"s + "a\x09", ""},
                                                       {"\3\x09\x81"s, ""}};
  for (const auto& [record, row] : cases) {
    const std::string size(1, static_cast<char>(record.size()));
    EXPECT_EQ(rows({tree(kTableLeaf, {"\3\5\2\x01\7"s, size + "\7"s + record, "\3\6\2\x01\3"s})}), "(7)"s + row + "(3)")
        << ::testing::PrintToString(record);
    EXPECT_EQ(rows({tree(kIndexLeaf, {"\3\2\x01\7"s, size + record, "\3\2\x01\3"s})}), "(7)"s + row + "(3)");
    EXPECT_EQ(rows({tree(kIndexInterior, {"\0\0\0\2\3\2\x01\7"s, "\0\0\0\2"s + size + record})}), "(7)"s + row);
  }
  EXPECT_EQ(rows({tree(kTableInterior, {"\2\x09\2\x09"s})}), "");
  EXPECT_EQ(rows({tree(7, {"\3\2\x01\7"s})}), "") << "no page of a tree";
}

// Nothing is read that lies behind the page.
TEST_F(RawPagesTest, CellsAtTheEndOfAPage) {
  const std::string four = "\3\3\x09\x09"s;  // the shortest there may be
  EXPECT_EQ(rows({tree(kIndexLeaf, {four})}), "(1 1)");
  for (const std::string& cut : {"\4\3\x09\x09"s, "\3\3\x09"s, "\x80\x80\x80\x80"s, std::string(8, '\x80'),
                                 "\x83\x80\x80"s, "\x7f\2\x0f"s + "a", "\xff\xff\xff\xff\xff\xff\xff\xff\xff"s})
    EXPECT_EQ(rows({tree(kIndexLeaf, {cut, four})}), "(1 1)") << ::testing::PrintToString(cut);
  for (const std::string& cut : {"\5\7\2\x13"s + "a", "\2\x80\x80\x80"s, "\x80\x80\x80\x80"s})
    EXPECT_EQ(rows({tree(kTableLeaf, {cut, "\2\5\2\x09"s})}), "(1)") << ::testing::PrintToString(cut);
  std::string many = tree(kIndexLeaf, {four});
  put(many, 3, "\xff\xff");
  put(many, 10, std::string(4000, '\xff'));
  EXPECT_EQ(rows({many}), "(1 1)") << "more cells than a page has room for";
  std::string low = tree(kIndexLeaf, {four, four});
  put(low, 10, big_endian(7, 2));
  EXPECT_EQ(rows({low}), "(1 1)") << "no cell begins in the head";
}

TEST_F(RawPagesTest, APageThatIsCut) {
  std::string page = tree(kIndexLeaf, {"\3\3\x09\x09"s});
  put(page, 8, big_endian(10, 2));
  put(page, 10, "\3\3\x09\x09"s);
  EXPECT_EQ(rows({page.substr(0, 14)}), "(1 1)") << "behind its row";
  EXPECT_EQ(rows({page.substr(0, 13)}), "") << "within it";
  EXPECT_EQ(rows({page.substr(0, 7)}), "");
  std::string list = tree(kIndexLeaf, {});
  put(list, 3, big_endian(3, 2));
  put(list, 8,
      "\xff\xff\2\2\0\x0a"s);  // the third place in the list, at the end of what there is, is that of the second
  EXPECT_EQ(rows({list.substr(0, 14)}), "(-)");
  EXPECT_EQ(PageFile(path_).count(), 2U);
  EXPECT_EQ(PageFile(folder_).page(1), Page()) << "what cannot be read is an empty page";
}

// A row of 4500 bytes, of which those that do not fit lie in a third page.
TEST_F(RawPagesTest, WhatGoesOnInOtherPages) {
  const std::string record = "\3\xc6\x0d"s + std::string(4480, 'x');  // 4480 × 2 + 13 = 0x46 × 128 + 0x0d
  const std::size_t here = 489 + (record.size() - 489) % 4092 <= 4061 ? 489 + (record.size() - 489) % 4092 : 489;
  const auto page = [&](std::uint32_t next) {
    return tree(kTableLeaf, {"\xa3\3\5"s + record.substr(0, here) + big_endian(next, 4)});
  };
  const auto rest = [&](std::uint32_t next, std::size_t bytes = kPageBytes) {
    std::string more(kPageBytes, '\0');
    put(more, 0, big_endian(next, 4) + record.substr(here));
    return more.substr(0, bytes);
  };
  const std::string found = "(" + std::string(4480, 'x') + ")";
  EXPECT_EQ(rows({page(3), rest(0)}), found);
  EXPECT_EQ(rows({page(3), rest(0, 4 + record.size() - here)}), found) << "all that is needed is there";
  EXPECT_EQ(rows({page(3), rest(0, 3 + record.size() - here)}), "") << "a byte is not";
  for (const std::uint32_t next : {0, 1, 4, 99}) EXPECT_EQ(rows({page(next), rest(0)}), "") << next;
  for (const std::uint32_t next : {1, 2, 3}) EXPECT_EQ(rows({page(3), rest(next)}), "") << "a longer chain: " << next;
  // Of a size that no file of this length holds, in a chain that leads in a circle: with little memory, nothing of it is read.
  constexpr std::uint64_t kHuge = (std::uint64_t{1} << 35) - 1;
  const std::size_t begins = 489 + (kHuge - 489) % 4092 <= 4061 ? 489 + (kHuge - 489) % 4092 : 489;
  write({tree(kTableLeaf, {"\xff\xff\xff\xff\x7f\5"s + record.substr(0, begins) + big_endian(3, 4)}), rest(3)});
  EXPECT_EQ(wait_for(spawn([&] {
              std::uint64_t pages = 0;
              std::ifstream("/proc/self/statm") >> pages;
              rlimit little{};  // whoever runs this may have a limit already, which nobody raises
              ::getrlimit(RLIMIT_AS, &little);
              little.rlim_cur = pages * 4096 + (std::uint64_t{256} << 20);
              if (::setrlimit(RLIMIT_AS, &little) != 0 || rows() != "") throw std::runtime_error("a row");
            })),
            0);
}

TEST_F(RawPagesTest, PagesBelow) {
  for (const int kind : {kIndexInterior, kTableInterior}) {
    std::vector<std::string> cells;
    for (const char* below : {"\0\0\0\0", "\0\0\0\1", "\0\0\0\2", "\0\0\0\3", "\0\0\0\4", "\1\0\0\2"})
      cells.push_back(std::string(below, 4) + "\3\2\x01\7"s);
    write({tree(kind, cells, 3), tree(kTableLeaf, {})});
    EXPECT_EQ(PageFile(path_).children(2), (std::vector<std::uint32_t>{3, 2, 3})) << kind;
  }
  for (const int kind : {kIndexLeaf, kTableLeaf, 7}) {
    write({tree(kind, {"\0\0\0\3\2\x09"s}, 3), tree(kTableLeaf, {})});
    EXPECT_TRUE(PageFile(path_).children(2).empty()) << kind;
  }
}

TEST_F(RawPagesTest, TheListOfFreePages) {
  std::vector<std::string> list;
  const auto free = [&](std::uint32_t trunk) {
    std::string first(kPageBytes, '\0');
    put(first, 32, big_endian(trunk, 4));
    write(list, first);
    const auto found = PageFile(path_).free_pages();
    return std::set<std::uint32_t>(found.begin(), found.end());
  };
  const auto trunk = [](std::uint32_t next, const std::vector<std::uint32_t>& leaves) {
    std::string page = big_endian(next, 4) + big_endian(leaves.size(), 4);
    for (const std::uint32_t leaf : leaves) page += big_endian(leaf, 4);
    page.resize(kPageBytes);
    return page;
  };
  using Pages = std::set<std::uint32_t>;
  list = {trunk(4, {3}), std::string(kPageBytes, '\0'), trunk(0, {5, 6})};
  EXPECT_EQ(free(0), Pages());
  EXPECT_EQ(free(1), Pages()) << "the first page is never free";
  EXPECT_EQ(free(2), (Pages{2, 3, 4, 5, 6}));
  EXPECT_EQ(free(4), (Pages{4, 5, 6})) << "the last page there is";
  EXPECT_EQ(free(5), Pages());
  list[2] = trunk(2, {});
  EXPECT_EQ(free(2), (Pages{2, 3, 4})) << "a list that leads back to where it began";
  std::vector<std::uint32_t> most(1022, 9);
  most.back() = 8;
  list = {trunk(0, most)};
  EXPECT_EQ(free(2), (Pages{2, 8, 9}));
  put(list[0], 4, big_endian(1023, 4));
  EXPECT_EQ(free(2), (Pages{2})) << "more than a page holds";
  list[0].resize(4095);
  put(list[0], 4, big_endian(1, 4));
  EXPECT_EQ(free(2), (Pages{2})) << "a page that is cut";
  write({}, std::string(20, '\0'));
  EXPECT_TRUE(PageFile(path_).free_pages().empty());
}

// The log of a table whose one row has the values v1, v2, v3, each in a frame of its own.
class WalFramesTest : public PagesTest {
 protected:
  static constexpr std::size_t kHead = 32, kFrame = 24 + kPageBytes;

  void SetUp() override {
    PagesTest::SetUp();
    run("PRAGMA journal_mode = WAL; PRAGMA wal_autocheckpoint = 0; CREATE TABLE t (a); INSERT INTO t VALUES ('v0'); "
        "PRAGMA "
        "wal_checkpoint(TRUNCATE)");
    for (const char* value : {"v1", "v2", "v3"}) run("UPDATE t SET a = '"s + value + "'");
    table_ = root("t");
    std::ifstream file(path_ + "-wal", std::ios::binary);
    wal_.assign(std::istreambuf_iterator<char>(file), {});
    ASSERT_EQ(wal_.size(), kHead + 3 * kFrame);
  }
  std::string value_with(const std::string& wal) const {
    std::filesystem::copy_file(path_, folder_ + "/copy.db", std::filesystem::copy_options::overwrite_existing);
    std::ofstream(folder_ + "/copy.db-wal", std::ios::binary) << wal;
    std::string value;
    PageFile(folder_ + "/copy.db").rows(table_, [&](RawRow& row) { value += std::get<std::string>(row.values.at(0)); });
    return value;
  }
  std::string changed(std::size_t at) const {
    std::string wal = wal_;
    wal[at] = static_cast<char>(wal[at] ^ 1);
    return wal;
  }

  std::uint32_t table_ = 0;
  std::string wal_;
};

TEST_F(WalFramesTest, OnlyWholeFramesOfThisLogCount) {
  EXPECT_EQ(value_with(wal_), "v3");
  EXPECT_EQ(value_with(""), "v0");
  EXPECT_EQ(value_with(wal_.substr(0, kHead - 1)), "v0");
  EXPECT_EQ(value_with(wal_.substr(0, wal_.size() - 1)), "v2") << "the last frame is cut";
  EXPECT_EQ(value_with(wal_ + std::string(kFrame, '\0')), "v3");
  for (const std::size_t at : {0, 1, 2}) EXPECT_EQ(value_with(changed(at)), "v0") << "no log: byte " << at;
  const std::size_t last = kHead + 2 * kFrame;
  // The page's number, its size in pages, the salt, both sums; the page's first bytes and its last ones.
  for (const std::size_t at : {0, 3, 7, 8, 15, 16, 19, 20, 23, 24, 27, 28, 24 + 4095, 24 + 4091})
    EXPECT_EQ(value_with(changed(last + at)), "v2") << "byte " << at << " of the last frame";
  EXPECT_EQ(value_with(changed(kHead + 24 + 4095)), "v3") << "what follows a damaged frame is whole";
}

TEST_F(WalFramesTest, FramesOfAnOlderLogHaveAnotherSalt) {
  run("PRAGMA wal_checkpoint(RESTART); UPDATE t SET a = 'v4'");
  EXPECT_EQ(std::filesystem::file_size(path_ + "-wal"), wal_.size()) << "two of them are still there";
  const std::vector<RawRow> found = rows("t");
  ASSERT_EQ(found.size(), 1u);
  EXPECT_EQ(found[0].values.at(0), Cell("v4"s));
}

// The other order of bytes, in which a machine of the other kind sums.
TEST_F(WalFramesTest, OfTheOtherOrderOfBytes) {
  std::string wal = wal_;
  const bool big = (wal[3] & 1) == 0;
  wal[3] = static_cast<char>(wal[3] ^ 1);
  std::uint32_t a = 0, b = 0;
  const auto word = [&](std::size_t at) {
    std::uint32_t value = 0;
    for (std::size_t i = 0; i < 4; ++i)
      value |= std::uint32_t{static_cast<unsigned char>(wal[at + i])} << 8 * (big ? 3 - i : i);
    return value;
  };
  const auto sum = [&](std::size_t at, std::size_t bytes) {
    for (const std::size_t end = at + bytes; at < end; at += 8) a += word(at) + b, b += word(at + 4) + a;
  };
  const auto put = [&](std::size_t at) {
    for (std::size_t i = 0; i < 4; ++i)
      wal[at + i] = static_cast<char>(a >> 8 * (3 - i)), wal[at + 4 + i] = static_cast<char>(b >> 8 * (3 - i));
  };
  sum(0, 24), put(24);
  for (std::size_t frame = kHead; frame < wal.size(); frame += kFrame)
    sum(frame, 8), sum(frame + 24, kPageBytes), put(frame + 16);
  EXPECT_NE(wal, wal_);
  EXPECT_EQ(value_with(wal), "v3");
}

}  // namespace
}  // namespace gradus::results
