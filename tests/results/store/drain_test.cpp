// What a run's spool becomes in the tables: once, in batches of any size, from wherever it was left.
#include "store/drain.h"

#include <cmath>
#include <fstream>
#include <optional>
#include <set>

#include "store/run_rows.h"
#include "store_fixture.h"

namespace gradus::results {
namespace {

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

std::string told(const Summary& s) {
  char text[200];
  std::snprintf(text, sizeof text, "%g %g %g at %d %d, %d of %d, nan %d", s.last, s.min, s.max,
                static_cast<int>(s.argmin), static_cast<int>(s.argmax), static_cast<int>(s.count),
                static_cast<int>(s.last_step), static_cast<int>(s.nans));
  return text;
}

TEST(SummaryTest, ValueByValue) {
  Summary s;
  const std::pair<std::pair<int, double>, const char*> added[] = {{{-5, kNan}, "nan nan nan at 0 0, 1 of -5, nan 1"},
                                                                  {{-7, 2}, "nan 2 2 at -7 -7, 2 of -5, nan 1"},
                                                                  {{3, 2}, "2 2 2 at -7 -7, 3 of 3, nan 1"},
                                                                  {{-9, 2}, "2 2 2 at -9 -9, 4 of 3, nan 1"},
                                                                  {{4, 5}, "5 2 5 at -9 4, 5 of 4, nan 1"},
                                                                  {{1, 5}, "5 2 5 at -9 1, 6 of 4, nan 1"},
                                                                  {{2, 1}, "5 1 5 at 2 1, 7 of 4, nan 1"},
                                                                  {{9, kNan}, "nan 1 5 at 2 1, 8 of 9, nan 2"}};
  for (const auto& [row, expected] : added) {
    s.add(row.first, row.second);
    EXPECT_EQ(told(s), expected) << row.first;
  }
  struct {
    int step;
    double old, value;
    bool kept;  // false: the curve must be read again
    const char* then;
  } const replaced[] = {
      {9, kNan, 3, true, "3 1 5 at 2 1, 8 of 9, nan 1"},  {3, 2, kNan, true, "3 1 5 at 2 1, 8 of 9, nan 2"},
      {3, kNan, 6, true, "3 1 6 at 2 3, 8 of 9, nan 1"},  {3, 6, 6, true, "3 1 6 at 2 3, 8 of 9, nan 1"},
      {3, 6, 7, true, "3 1 7 at 2 3, 8 of 9, nan 1"},     {3, 7, 6, false, "3 1 7 at 2 3, 8 of 9, nan 1"},
      {3, 7, kNan, false, "3 1 7 at 2 3, 8 of 9, nan 1"}, {2, 1, 1, true, "3 1 7 at 2 3, 8 of 9, nan 1"},
      {2, 1, 0, true, "3 0 7 at 2 3, 8 of 9, nan 1"},     {2, 0, 1, false, "3 0 7 at 2 3, 8 of 9, nan 1"},
      {-7, 2, 0, true, "3 0 7 at -7 3, 8 of 9, nan 1"}};
  for (const auto& [step, old, value, kept, then] : replaced) {
    EXPECT_EQ(s.replace(step, old, value), kept) << step << ": " << value;
    EXPECT_EQ(told(s), then) << step << ": " << value;
  }
  Summary none;
  none.add(0, kNan);
  EXPECT_TRUE(none.replace(0, kNan, 4)) << "without a value there is no extreme to lose";
  EXPECT_EQ(told(none), "4 4 4 at 0 0, 1 of 0, nan 0");
}

class DrainTest : public StoreTest {
 protected:
  void SetUp() override {
    StoreTest::SetUp();
    create();
    database_.emplace(path_, SQLITE_OPEN_READWRITE);
    run_ = insert_run(*database_, std::string(32, 'a'), {.name = "a"});
    std::filesystem::create_directory(spooled());
    statements_.emplace(*database_);
  }
  void TearDown() override {
    statements_.reset();
    database_.reset();
    StoreTest::TearDown();
  }
  std::string spooled() const { return folder_ + "/r"; }
  Spool spool(std::uint64_t records = 1000) const {
    return Spool(spooled(), sizeof(SegmentHeader) + records * sizeof(Record));
  }
  RunDrain drain() { return RunDrain(*statements_, run_, spooled()); }
  std::string one(const std::string& sql) {
    Statement row = database_->prepare(sql);
    return row.step() ? row.text(0) : "-";
  }
  std::string position() { return one("SELECT segment || ' ' || records FROM drained"); }
  // A metric's rows, and its summary.
  std::string curve(const std::string& key) {
    return one(
        "SELECT group_concat(step || ':' || coalesce(value, 'NULL'), ' ') FROM (SELECT * FROM metrics WHERE key = '" +
        key + "' ORDER BY step)");
  }
  std::string summary(const std::string& key) {
    return one(
        "SELECT coalesce(last, 'NULL') || ' ' || coalesce(min, 'NULL') || ' ' || coalesce(max, 'NULL') || ' at ' || "
        "coalesce(argmin, '-') || ' ' || coalesce(argmax, '-') || ', ' || count || ' of ' || last_step || ', nan ' || "
        "nans FROM "
        "summaries WHERE key = '" +
        key + "'");
  }

  std::optional<Database> database_;
  std::optional<DrainStatements> statements_;
  std::int64_t run_ = 0;
};

TEST_F(DrainTest, AtMostAsManyAsAreAskedForAndEachOnce) {
  Spool spool = this->spool();
  RunDrain drain = this->drain();
  EXPECT_TRUE(drain.pending()) << "not looked at yet";
  EXPECT_EQ(drain.apply(10, false), 0U);
  EXPECT_EQ(position(), "-") << "nothing new writes nothing";
  const auto key = static_cast<std::uint32_t>(spool.key("a"));
  for (int step = 1; step <= 25; ++step) spool.metric(key, step, step);
  for (const std::uint64_t expected : {10, 10, 5, 0}) EXPECT_EQ(drain.apply(10, false), expected);
  EXPECT_FALSE(drain.pending());
  EXPECT_EQ(position(), "0 25");
  EXPECT_EQ(summary("a"), "25.0 1.0 25.0 at 1 25, 25 of 25, nan 0");
  spool.progress(1, .5, 2, 3, 4), spool.progress(2, .5, 2, 3, 4);
  EXPECT_EQ(drain.apply(1, false), 3U) << "a whole message";
  EXPECT_EQ(drain.apply(4, false), 3U);
  EXPECT_EQ(one("SELECT group_concat(step) FROM progress"), "1,2");
  const auto other = static_cast<std::uint32_t>(spool.key("b"));
  spool.metric(other, 1, 1);
  const int before = sqlite3_total_changes(database_->handle());
  EXPECT_EQ(drain.apply(10, false), 1U);
  EXPECT_EQ(sqlite3_total_changes(database_->handle()) - before, 4) << "its key, the value, its summary, the position";
}

// What the statement before was given is not this key's.
TEST_F(DrainTest, AKeyOfNaNHasNoPlaceOfAnothersExtremes) {
  Spool spool = this->spool();
  RunDrain drain = this->drain();
  for (const char* name : {"a", "b", "c"}) {
    const auto key = static_cast<std::uint32_t>(spool.key(name));
    for (int step = 1; step <= 2; ++step) spool.metric(key, step, *name == 'b' ? NAN : step);
  }
  drain.apply(10, false);
  EXPECT_EQ(summary("a"), "2.0 1.0 2.0 at 1 2, 2 of 2, nan 0");
  EXPECT_EQ(summary("b"), "NULL NULL NULL at - -, 2 of 2, nan 2");
  EXPECT_EQ(summary("c"), "2.0 1.0 2.0 at 1 2, 2 of 2, nan 0");
}

// Fifty rows go into one statement, those that are left over one by one.
TEST_F(DrainTest, AnyNumberOfRows) {
  Spool spool = this->spool();
  RunDrain drain = this->drain();
  int step = 0;
  std::string expected[2];
  for (const int rows : {1, 49, 50, 51, 99, 100, 101}) {
    for (const int last = step + rows; step < last; ++step) {
      for (const char* name : {"a", "b"}) {
        const bool second = *name == 'b';
        const int value = second ? -step : step;
        spool.metric(static_cast<std::uint32_t>(spool.key(name)), step, value);
        expected[second] += (step ? " " : "") + std::to_string(step) + ":" + std::to_string(value) + ".0";
      }
    }
    EXPECT_EQ(drain.apply(10'000, false), 2U * static_cast<unsigned>(rows));
    EXPECT_EQ(curve("a"), expected[0]);
    EXPECT_EQ(curve("b"), expected[1]);
  }
}

TEST_F(DrainTest, ValuesOfABatchInAnyOrder) {
  Spool spool = this->spool();
  RunDrain drain = this->drain();
  const auto a = static_cast<std::uint32_t>(spool.key("a")), b = static_cast<std::uint32_t>(spool.key("b"));
  const auto log = [&](std::uint32_t key, std::initializer_list<std::pair<int, double>> rows) {
    for (const auto& [step, value] : rows) spool.metric(key, step, value);
  };
  log(b, {{5, 1}, {3, 2}, {5, 3}, {4, kNan}}), log(a, {{2, 7}, {2, 8}, {1, 9}});
  EXPECT_EQ(drain.apply(99, false), 7U);
  EXPECT_EQ(curve("a") + ", " + curve("b"), "1:9.0 2:8.0, 3:2.0 4:NULL 5:3.0");
  EXPECT_EQ(summary("b"), "3.0 2.0 3.0 at 3 5, 3 of 5, nan 1");
  log(b, {{5, 0}, {3, 1}, {4, 5}, {6, 2}, {1, 4}}), log(a, {{1, 8}, {0, 8}, {2, kNan}});
  EXPECT_EQ(drain.apply(99, false), 8U);
  EXPECT_EQ(curve("a") + ", " + curve("b"), "0:8.0 1:8.0 2:NULL, 1:4.0 3:1.0 4:5.0 5:0.0 6:2.0");
  EXPECT_EQ(summary("a"), "NULL 8.0 8.0 at 0 0, 3 of 2, nan 1");
  EXPECT_EQ(summary("b"), "2.0 0.0 5.0 at 5 4, 5 of 6, nan 0");
}

TEST_F(DrainTest, AValueAloneIsOverwritten) {
  Spool spool = this->spool();
  RunDrain drain = this->drain();
  for (const int step : {0, -3, 4}) {
    const std::string name = "k" + std::to_string(step + 3), at = std::to_string(step);
    for (const char* value : {"5", "6", "4"}) {
      spool.metric(static_cast<std::uint32_t>(spool.key(name)), step, std::stod(value));
      EXPECT_EQ(drain.apply(99, false), 1U);
      EXPECT_EQ(curve(name), at + ":" + value + ".0");
      const std::string real = value + std::string(".0 ");
      EXPECT_EQ(summary(name), real + real + real + "at " + at + " " + at + ", 1 of " + at + ", nan 0");
    }
  }
}

// Another process takes over: from the position, with the summaries as they are.
TEST_F(DrainTest, GoesOnFromWhatTheTablesSay) {
  Spool spool = this->spool();
  const auto a = static_cast<std::uint32_t>(spool.key("a")), n = static_cast<std::uint32_t>(spool.key("n"));
  for (const auto& [step, value] : {std::pair{1, 6.0}, {2, 9.0}, {4, 2.0}, {5, 5.0}, {7, kNan}, {8, 4.0}})
    spool.metric(a, step, value);
  spool.metric(n, 3, kNan);
  EXPECT_EQ(drain().apply(99, false), 7U);
  EXPECT_EQ(summary("a") + "; " + summary("n"),
            "4.0 2.0 9.0 at 4 2, 6 of 8, nan 1; NULL NULL NULL at - -, 1 of 3, nan 1");
  spool.metric(a, 9, 7), spool.metric(n, 4, 1);
  EXPECT_EQ(drain().apply(99, false), 2U);
  EXPECT_EQ(summary("a") + "; " + summary("n"), "7.0 2.0 9.0 at 4 2, 7 of 9, nan 1; 1.0 1.0 1.0 at 4 4, 2 of 4, nan 1");
  EXPECT_EQ(position(), "0 9");
}

TEST_F(DrainTest, WhatWasTakenBackIsAppliedAgain) {
  Spool spool = this->spool();
  RunDrain drain = this->drain();
  const auto a = static_cast<std::uint32_t>(spool.key("a")), b = static_cast<std::uint32_t>(spool.key("b"));
  for (int step = 0; step < 3; ++step) spool.metric(a, step, 1);
  EXPECT_EQ(drain.apply(99, false), 3U);
  spool.metric(a, 3, 2), spool.metric(b, 0, 5), spool.text(Record::event, 3, 0, std::string("k\0n\0\0", 5));
  for (int i = 0; i < 2; ++i) {
    database_->run("SAVEPOINT before");
    EXPECT_EQ(drain.apply(99, false), 4U);
    if (i == 0) database_->run("ROLLBACK TO before");
    drain.rolled_back();
    EXPECT_EQ(position(), i == 0 ? "0 3" : "0 7");
  }
  EXPECT_EQ(drain.apply(99, false), 0U);
  EXPECT_EQ(curve("a") + ", " + curve("b"), "0:1.0 1:1.0 2:1.0 3:2.0, 0:5.0");
  EXPECT_EQ(summary("a") + "; " + summary("b"), "2.0 1.0 2.0 at 0 3, 4 of 3, nan 0; 5.0 5.0 5.0 at 0 0, 1 of 0, nan 0");
  EXPECT_EQ(one("SELECT group_concat(kind || name || step || coalesce(detail, '-')) FROM events"), "kn3-");
}

TEST_F(DrainTest, DamagedNamesAndTextsLoseNoOthers) {
  Spool spool = this->spool();
  for (const char* name : {"good", "is bad", "last"}) spool.metric(static_cast<std::uint32_t>(spool.key(name)), 1, 2);
  spool.metric(3, 1, 2);  // which no name was given
  spool.text(Record::event, 1, 0, std::string("kind\0name\0{}\0", 13));
  spool.text(Record::event, 2, 0, std::string("kind\0name\0{}", 12));
  spool.text(Record::event, 3, 0, "kind");
  spool.text(Record::event, 4, 0, "");
  spool.text(Record::artifact, 5, 0, std::string("w\0p\0\0", 5));
  spool.text(static_cast<Record::Kind>(7), 1, 2, "");
  spool.text(Record::event, 6, 0, std::string("k\0\0\0", 4));
  EXPECT_GT(drain().apply(99, false), 4U);
  EXPECT_EQ(one("SELECT group_concat(name) FROM keys"), "good,last");
  EXPECT_EQ(curve("good") + curve("last"), "1:2.01:2.0");
  EXPECT_EQ(one("SELECT group_concat(step) FROM events"), "1,6");
  EXPECT_EQ(one("SELECT kind || path || coalesce(sha256, '-') || bytes FROM artifacts"), "wp-5");
}

TEST_F(DrainTest, FilesGoOnceTheirRowsAreCommitted) {
  Spool spool = this->spool(4);
  const auto a = static_cast<std::uint32_t>(spool.key("a"));
  for (int step = 0; step < 10; ++step) spool.metric(a, step, step);
  RunDrain drain = this->drain();
  const auto files = [&] {
    std::set<std::string> names;
    for (const auto& entry : std::filesystem::directory_iterator(spooled())) names.insert(entry.path().filename());
    std::string all;
    for (const std::string& name : names) all += name + " ";
    return all;
  };
  EXPECT_EQ(files(), "spool.0 spool.1 spool.2 spool.keys ");
  EXPECT_EQ(drain.apply(6, false), 6U);
  EXPECT_EQ(files(), "spool.0 spool.1 spool.2 spool.keys ") << "not before";
  drain.committed();
  EXPECT_EQ(files(), "spool.1 spool.2 spool.keys ");
  EXPECT_EQ(drain.apply(99, false), 4U);
  drain.committed();
  EXPECT_EQ(files(), "spool.2 spool.keys ");
  for (const char* name : {"/spool.3", "/spool.4", "/other"}) std::ofstream(spooled() + name) << "half made";
  drain.remove();
  EXPECT_EQ(files(), "other spool.4 ");
}

}  // namespace
}  // namespace gradus::results
