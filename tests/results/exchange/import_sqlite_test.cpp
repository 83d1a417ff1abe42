// MLflow's and Trackio's fields, each of the forms that they come in.
#include <cmath>

#include "exchange/import.h"
#include "query/query.h"
#include "store/database.h"
#include "store_fixture.h"

namespace gradus::results {
namespace {

class ImportSqliteTest : public StoreTest {
 protected:
  std::string make(const std::string& name, const std::string& sql) const {
    const std::string path = folder_ + "/" + name;
    Database(path, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE).run(sql.c_str());
    return path;
  }
  std::string mlflow(const std::string& rows) const {
    return make("mlflow.db", R"sql(
CREATE TABLE experiments (experiment_id INTEGER, name TEXT);
CREATE TABLE runs (run_uuid TEXT, name TEXT, status TEXT, start_time BIGINT, end_time BIGINT, source_name TEXT, source_version TEXT, lifecycle_stage TEXT, experiment_id INTEGER);
CREATE TABLE params (key TEXT, value TEXT, run_uuid TEXT);
CREATE TABLE tags (key TEXT, value TEXT, run_uuid TEXT);
CREATE TABLE metrics (key TEXT, value FLOAT, timestamp BIGINT, run_uuid TEXT, step BIGINT, is_nan BOOLEAN);
INSERT INTO experiments VALUES (1, 'mnist');
)sql" + rows);
  }
  static std::string all(Store& store, const std::string& sql) {
    return ask(store, "SELECT group_concat(x, ' ') FROM (SELECT " + sql + ")");
  }
};

TEST_F(ImportSqliteTest, MlflowsRuns) {
  const std::string path = mlflow(R"sql(
INSERT INTO runs VALUES ('a', 'n1', 'FINISHED', 1700000001500, 1700000003500, 'train.py', 'c0ffee', 'active', 1), ('b', 'n2', 'FAILED', 1700000002000, NULL, '', '', 'active', 2),
  ('c', 'n3', 'KILLED', 1700000003000, 1700000004000, NULL, NULL, 'active', 1), ('d', 'n4', 'RUNNING', NULL, NULL, NULL, NULL, NULL, 1), ('e', 'n5', 'FINISHED', 1, 2, '', '', 'deleted', 1);
INSERT INTO tags VALUES ('mlflow.note.content', 'a note', 'a'), ('mlflow.source.git.commit', 'other', 'a'), ('mlflow.source.git.commit', 'beef', 'b'), ('mlflow.user', 'me', 'a'), ('own', 'x', 'a'),
  ('mlflow.parentRunId', 'b', 'a');
INSERT INTO params VALUES ('lr', '0.5', 'a'), ('seed', '7', 'a'), ('random_seed', '8', 'b'), ('seed', '1.5', 'c');
INSERT INTO metrics VALUES ('m', 1.7976931348623157e308, 1700000002000, 'a', 1, 0), ('m', -1.7976931348623157e308, 1700000002000, 'a', 2, 0), ('m', 0, 1700000002000, 'a', 3, 1), ('m', 5, 1700000002500, 'a', 4, 0),
  ('m', 6, 1700000009000, 'b', 1, 0);
)sql");
  auto store = create();
  const Imported done = import_mlflow(*store, path, {});
  EXPECT_EQ(done.added, 4);
  EXPECT_EQ(done.skipped, 1);
  EXPECT_EQ(done.children, 1);
  EXPECT_EQ(done.values, 5);
  EXPECT_EQ(all(*store, "name || ':' || status AS x FROM runs ORDER BY id"),
            "mnist:interrupted mnist:finished mlflow:failed mnist:interrupted");
  EXPECT_EQ(all(*store, "coalesce(git_commit, '-') AS x FROM runs ORDER BY id"), "- c0ffee beef -");
  EXPECT_EQ(all(*store, "coalesce(script, '-') AS x FROM runs ORDER BY id"), "- train.py - -");
  EXPECT_EQ(all(*store, "coalesce(seed, '-') AS x FROM runs ORDER BY id"), "- 7 8 -");
  EXPECT_EQ(all(*store, "coalesce(note, '-') AS x FROM runs ORDER BY id"), "- a note - -");
  EXPECT_EQ(all(*store, "name || '=' || value AS x FROM tags WHERE run_id = 2 ORDER BY name"),
            "mlflow.parentRunId=b own=x run_name=n1");
  EXPECT_EQ(all(*store, "coalesce(value, 'null') AS x FROM metrics WHERE run_id = 2 ORDER BY step"),
            "Inf -Inf null 5.0");
  EXPECT_EQ(all(*store, "started || '-' || ended || '-' || seconds AS x FROM runs WHERE id = 2"),
            "2023-11-14T22:13:21.500Z-2023-11-14T22:13:23.500Z-2.0");
  EXPECT_EQ(ask(*store, "SELECT ended FROM runs WHERE id = 3"), "2023-11-14T22:13:29.000Z") << "its last value's time";
  EXPECT_EQ(ask(*store, "SELECT step || ' ' || seconds FROM progress WHERE run_id = 2 ORDER BY step"), "1 0.5");
  EXPECT_EQ(import_mlflow(*store, path, {.name = "mine"}).updated, 4) << "under another name";
  EXPECT_EQ(all(*store, "DISTINCT name AS x FROM runs"), "mine");
  EXPECT_EQ(import_mlflow(*store, path, {.name = "mine"}).unchanged, 4);
}

// Without a step MLflow writes step 0: the curve is in the times.
TEST_F(ImportSqliteTest, MetricsWithoutStepsAreNumbered) {
  const std::string path = mlflow(R"sql(
INSERT INTO runs VALUES ('a', 'n', 'FINISHED', 1700000000000, 1700000009000, '', '', 'active', 1), ('b', 'n', 'FINISHED', 1700000000000, 1700000009000, '', '', 'active', 1);
INSERT INTO metrics VALUES ('x', 3, 1700000003000, 'a', 0, 0), ('x', 1, 1700000001000, 'a', 0, 0), ('x', 2, 1700000002000, 'a', 0, 0), ('once', 7, 1700000004000, 'a', 0, 0),
  ('x', 9, 1700000001000, 'b', 0, 0), ('x', 8, 1700000001000, 'b', 0, 0), ('y', 1, 1700000002000, 'b', 5, 0), ('z', 4, 1700000001000, 'b', 0, 0), ('z', 5, 1700000003000, 'b', 1, 0), ('z', 6, 1700000004000, 'b', 1, 0);
)sql");
  auto store = create();
  const Imported done = import_mlflow(*store, path, {});
  EXPECT_EQ(done.numbered, 2);
  EXPECT_EQ(done.replaced, 1) << "a step that was there twice";
  const auto rows = [&](int run) {
    return all(*store, "key || step || '=' || value AS x FROM metrics WHERE run_id = " + std::to_string(run) +
                           " ORDER BY key, step");
  };
  EXPECT_EQ(rows(1), "once0=7.0 x0=1.0 x1=2.0 x2=3.0");
  EXPECT_EQ(rows(2), "x0=9.0 x1=8.0 y5=1.0 z0=4.0 z1=6.0");
  EXPECT_EQ(all(*store, "step || ':' || seconds AS x FROM progress WHERE run_id = 1"), "0:2.0 1:2.0 2:3.0");
  EXPECT_EQ(all(*store, "step || ':' || seconds AS x FROM progress WHERE run_id = 2"), "0:1.0 1:2.0 5:2.0")
      << "a number is no step of the others";
  EXPECT_EQ(ask(*store, "SELECT json_extract(detail, '$.numbered') FROM events WHERE run_id = 1"), R"(["x"])");
  EXPECT_EQ(import_mlflow(*store, path, {}).unchanged, 2);
}

// Two transactions' worth of points and one more, of two metrics that share their steps.
TEST_F(ImportSqliteTest, MorePointsThanATransactionHas) {
  const std::string path = mlflow(R"sql(
INSERT INTO runs VALUES ('a', 'n', 'FINISHED', 1700000000000, 1700000100000, '', '', 'active', 1);
WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 50001) INSERT INTO metrics SELECT 'x', i, 1700000000000 + i, 'a', i, 0 FROM n;
WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 50000) INSERT INTO metrics SELECT 'y', -i, 1700000000000 + 2 * i, 'a', i, 0 FROM n;
)sql");
  auto store = create();
  EXPECT_EQ(import_mlflow(*store, path, {}).values, 100'001);
  EXPECT_EQ(
      all(*store, "key || ':' || count || ':' || last || ':' || min || ':' || argmax AS x FROM summaries ORDER BY key"),
      "x:50001:50001.0:1.0:50001 y:50000:-50000.0:-50000.0:1");
  EXPECT_EQ(ask(*store, "SELECT count(*) FROM metrics"), "100001");
  EXPECT_EQ(
      ask(*store, "SELECT count(*) || ' ' || round(max(seconds), 3) || ' ' || round(min(seconds), 3) FROM progress"),
      "50001 50.001 0.002")
      << "the later of a step's times, though no later than the steps after it";
}

TEST_F(ImportSqliteTest, TrackiosConfigurations) {
  std::string deep = "1";
  for (int i = 0; i < 22; ++i) deep = "{\"d\":" + deep + "}";
  const std::string path = make("p.db", R"sql(
CREATE TABLE metrics (id INTEGER PRIMARY KEY, timestamp TEXT, run_name TEXT, step INTEGER, metrics TEXT);
CREATE TABLE configs (id INTEGER PRIMARY KEY, run_name TEXT, config TEXT);
INSERT INTO configs VALUES (1, 'r', '{"a": true, "b": null, "c": -3, "d": 18446744073709551615, "e": 9223372036854775807, "f": 0.5, "g": "t", "h": [1, 2], "i": {"_in": 1}, "_Group": "one", "_out": 2, "j": {}, "deep": )sql" +
                                            deep + R"sql(}'), (2, 's', '{"_Group": 5}');
INSERT INTO metrics VALUES (2, '2026-01-01T00:00:01Z', 's', 0, '{"t": true, "f": false, "n": "NaN", "i": "Infinity", "j": "-Infinity", "z": "text", "k": null}'), (1, '2026-01-01T00:00:00Z', 'r', 0, '{"x": 1}');
)sql");
  auto store = create();
  const Imported done = import_trackio(*store, path, {});
  EXPECT_EQ(done.added, 2);
  EXPECT_EQ(done.skipped, 2) << "a text and a null, once";
  EXPECT_EQ(all(*store,
                "key || '=' || coalesce(value, 'null') || ':' || type AS x FROM params WHERE key NOT LIKE 'deep%' "
                "ORDER BY key"),
            "a=1:boolean b=null:null c=-3:integer d=1.84467440737096e+19:number e=9223372036854775807:integer "
            "f=0.5:number g=t:string h=[1,2]:string i._in=1:integer");
  std::string name = "deep";
  for (int i = 0; i < 19; ++i) name += ".d";
  EXPECT_EQ(ask(*store, "SELECT value FROM params WHERE key = ?1", {name}), R"({"d":{"d":{"d":1}}})")
      << "no deeper than twenty names";
  EXPECT_EQ(all(*store, "name || '=' || value AS x FROM tags ORDER BY run_id, name"),
            "group=one run_name=r run_name=s");
  EXPECT_EQ(all(*store, "key || '=' || coalesce(value, 'null') AS x FROM metrics WHERE run_id = 2 ORDER BY key"),
            "f=0.0 i=Inf j=-Inf n=null t=1.0");
  EXPECT_EQ(all(*store, "name AS x FROM runs"), "p p");
}

// A view computes what somebody else wrote into the file.
TEST_F(ImportSqliteTest, AViewIsNotRead) {
  const std::string path = make("p.db", R"sql(
CREATE TABLE metrics (id INTEGER PRIMARY KEY, timestamp TEXT, run_name TEXT, step INTEGER, metrics TEXT);
INSERT INTO metrics VALUES (1, '2026-01-01T00:00:00Z', 'r', 0, '{"x": 1}');
CREATE VIEW configs AS SELECT 'r' AS run_name, '{}' AS config;
)sql");
  auto store = create();
  expect_error(Exit::data, "view \"configs\" prohibited", [&] { import_trackio(*store, path, {}); });
  EXPECT_EQ(ask(*store, "SELECT count(*) FROM runs"), "0");
}

TEST(TypedParamTest, TextsThatWereNumbers) {
  const auto type = [](const std::string& text) {
    const Param param = typed_param("k", text);
    return std::string(param.value.index() == 0                            ? "nil"
                       : std::holds_alternative<std::int64_t>(param.value) ? "integer"
                       : std::holds_alternative<double>(param.value)       ? "number"
                       : std::holds_alternative<bool>(param.value)         ? "boolean"
                                                                           : "text");
  };
  for (const char* text : {"0", "-7", "9223372036854775807"}) EXPECT_EQ(type(text), "integer") << text;
  for (const char* text : {"0.5", "1e3", "9223372036854775808", "-1e-300"}) EXPECT_EQ(type(text), "number") << text;
  for (const char* text : {"True", "true", "False", "false"}) EXPECT_EQ(type(text), "boolean") << text;
  for (const char* text : {"", "1 ", " 1", "1x", "0.5x", "nan", "inf", "-inf", "1e999", "TRUE", "none"})
    EXPECT_EQ(type(text), "text") << text;
  EXPECT_EQ(type("None"), "nil") << "Python's nothing";
  EXPECT_TRUE(std::get<bool>(typed_param("k", "True").value));
  EXPECT_FALSE(std::get<bool>(typed_param("k", "false").value));
}

}  // namespace
}  // namespace gradus::results
