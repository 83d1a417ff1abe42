// An answer that the program takes for itself is whole, however long it is.
#include <gtest/gtest.h>

#include "query/query.h"
#include "store_fixture.h"

namespace gradus::results {
namespace {

class WholeAnswersTest : public StoreTest {};

TEST_F(WholeAnswersTest, ManyRunsHaveAllTheirParametersAndMetrics) {
  constexpr int kRuns = 30, kEach = 4000;
  {
    auto store = create();
    RunStart start{.name = "r"};
    for (int i = 0; i < kEach; ++i) start.params.push_back({"p" + std::to_string(i), std::int64_t{i}});
    for (int i = 0; i < kRuns; ++i) {
      auto run = store->begin(start);
      for (int key = 0; key < kEach; ++key) run->log(run->key("result/" + std::to_string(key)), 0, key);
      run->finish("finished");
    }
  }
  auto store = read();
  const Json runs = list_runs(*store, {});
  ASSERT_EQ(runs.size(), std::size_t{kRuns});
  for (const Json& run : runs) {
    EXPECT_EQ(run["params"].size(), std::size_t{kEach}) << run["id"];
    EXPECT_EQ(run["last"].size(), std::size_t{kEach}) << run["id"];
  }
  const Json compared = compare(*store, {.metrics = {"result/3999"}});
  EXPECT_EQ(compared["groups"][0]["metrics"]["result/3999"]["missing"], 0);
}

TEST_F(WholeAnswersTest, OneThatIsTooLargeIsAnErrorAndNotCut) {
  create();
  auto store = read();
  const std::string texts =
      "SELECT zeroblob(30000000), hex(zeroblob(15000000)) FROM (WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT "
      "i + 1 FROM n LIMIT 10) SELECT i FROM n)";
  expect_error(Exit::data, "the answer is too large; expected at most 20000000 rows and 256 MiB of text",
               [&] { store->query(texts); });
  const Rows cut = store->query(texts, {}, {.rows = 100});
  EXPECT_TRUE(cut.truncated);
  EXPECT_LT(cut.rows.size(), 10U);
}

}  // namespace
}  // namespace gradus::results
