// What other tools' files say, taken as the tools themselves show it.
#include "exchange/import.h"

#include <bit>
#include <cmath>
#include <cstring>
#include <fstream>

#include "exchange/key_names.h"
#include "exchange/tensorboard_records.h"
#include "exchange/tensorboard_tensor.h"
#include "query/curves.h"
#include "query/query.h"
#include "store/database.h"
#include "store_fixture.h"

namespace gradus::results {
namespace {

// --- an event file, byte by byte

std::string varint(std::uint64_t value) {
  std::string bytes;
  for (; value >= 128; value >>= 7) bytes += static_cast<char>(value | 128);
  return bytes + static_cast<char>(value);
}
std::string field(int number, const std::string& bytes) {
  return varint(static_cast<std::uint64_t>(number) << 3 | 2) + varint(bytes.size()) + bytes;
}
std::string whole(int number, std::uint64_t value) {
  return varint(static_cast<std::uint64_t>(number) << 3) + varint(value);
}
template <class T>
std::string raw(T value) {
  return {reinterpret_cast<const char*>(&value), sizeof value};
}
std::string event(double time, std::int64_t step, const std::string& body) {
  return varint(9) + raw(time) + whole(2, static_cast<std::uint64_t>(step)) + body;
}
std::string scalar(const std::string& tag, float value) {
  return field(5, field(1, field(1, tag) + varint(2 << 3 | 5) + raw(value)));
}
std::string tensor(const std::string& tag, int type, const std::string& values) {
  return field(5,
               field(1, field(1, tag) + field(8, whole(1, static_cast<std::uint64_t>(type)) + field(2, "") + values) +
                            field(9, field(1, field(1, "scalars")))));
}
std::string start() { return field(7, whole(1, 1)); }

class ImportTest : public StoreTest {
 protected:
  void write(const std::string& name, const std::vector<std::string>& events, double time = 1.7e9) {
    const std::string path = folder_ + "/tb/" + name;
    std::filesystem::create_directories(std::filesystem::path(path).parent_path());
    std::ofstream file(path, std::ios::binary);
    const auto record = [&](const std::string& bytes) {
      const std::string length = raw(static_cast<std::uint64_t>(bytes.size()));
      file << length << raw(masked_crc32c(length)) << bytes << raw(masked_crc32c(bytes));
    };
    record(event(time, 0, field(3, "brain.Event:2")));
    for (const std::string& one : events) record(one);
  }
  static std::string curve(Store& store, const std::string& where = "1") {
    return ask(
        store,
        "SELECT group_concat(step || ':' || CAST(value AS INTEGER), ' ') FROM (SELECT step, value FROM metrics JOIN "
        "runs r ON r.id = run_id WHERE " +
            where + " ORDER BY key, step)");
  }
  Imported import(Store& store) { return import_tensorboard(store, folder_ + "/tb", {}); }
};

// As TensorBoard's own reader has it: a session that begins at step 5 voids what was written from step 5 on.
TEST_F(ImportTest, ARestartVoidsWhatTheCrashedSessionWrote) {
  std::vector<std::string> first = {event(1.7e9, 0, start())}, second = {event(1.7e9 + 100, 5, start())};
  for (int i = 0; i < 10; ++i) first.push_back(event(1.7e9 + i, i, scalar("loss", static_cast<float>(i))));
  for (int i = 5; i < 8; ++i) second.push_back(event(1.7e9 + 100 + i, i, scalar("loss", static_cast<float>(100 + i))));
  write("run/events.out.tfevents.1.a", first);
  write("run/events.out.tfevents.2.b", second);
  auto store = create();
  import(*store);
  EXPECT_EQ(curve(*store), "0:0 1:1 2:2 3:3 4:4 5:105 6:106 7:107");
  EXPECT_EQ(ask(*store, "SELECT last || ' ' || count || ' ' || max FROM summaries"), "107.0 8 107.0");
  EXPECT_EQ(import(*store).unchanged, 1);
  // Twice more, the last one going further back; and another run in which nothing restarted.
  write("run/events.out.tfevents.3.c", {event(1.7e9 + 200, 7, start()), event(1.7e9 + 201, 9, scalar("loss", 209)),
                                        event(1.7e9 + 202, 2, start()), event(1.7e9 + 203, 2, scalar("loss", 302))});
  write("other/events.out.tfevents.1.a", first);
  import(*store);
  EXPECT_EQ(curve(*store, "name = 'run'"), "0:0 1:1 2:302");
  EXPECT_EQ(curve(*store, "name = 'other'"), "0:0 1:1 2:2 3:3 4:4 5:5 6:6 7:7 8:8 9:9");
}

// As TensorBoard writes it: a step of 0 is left out.
TEST_F(ImportTest, AnEventWithoutAStepIsOfStepZero) {
  write("run/events.out.tfevents.1.a",
        {event(1.7e9, 7, scalar("x", 1)), varint(9) + raw(1.7e9 + 1) + scalar("x", 2), event(1.7e9 + 2, 3, start())});
  auto store = create();
  import(*store);
  EXPECT_EQ(curve(*store), "0:2");
}

TEST_F(ImportTest, WhereThereIsNothingToImport) {
  auto store = create();
  const auto refused = [&](const std::string& path, Exit code, const std::string& words) {
    expect_error(code, path + words, [&] { import_tensorboard(*store, path, {}); });
  };
  refused(folder_ + "/none", Exit::missing,
          ": no such folder; expected one with TensorBoard's event files; got nothing");
  refused("/dev/null", Exit::data, ": expected a folder or an event file; got neither");
  std::filesystem::create_directories(folder_ + "/tb/empty");
  refused(folder_ + "/tb", Exit::missing, ": no runs; expected files with 'tfevents' in their names; got none");
  write("one/events.out.tfevents.1.a", {event(1.7e9, 1, scalar("x", 1))});
  write("two/events.out.tfevents.1.a", {event(1.7e9, 1, scalar("x", 2))});
  const std::string file = folder_ + "/tb/two/events.out.tfevents.1.a";
  EXPECT_EQ(import_tensorboard(*store, file, {}).added, 1) << "a file alone";
  EXPECT_EQ(curve(*store), "1:2");
  std::ofstream(file) << "damaged from its first byte on";
  expect_error(Exit::data, "--partial takes what is before it", [&] { import_tensorboard(*store, file, {}); });
  EXPECT_NO_THROW(import_tensorboard(*store, folder_ + "/tb", {.partial = true}));
  EXPECT_EQ(curve(*store, "name = 'one'"), "1:1");
  write("two/events.out.tfevents.2.b", {event(1.7e9, 1, scalar("x", 3))});
  import_tensorboard(*store, folder_ + "/tb/two", {.partial = true});
  EXPECT_EQ(ask(*store, "SELECT max(value) FROM metrics"), "3") << "of the file after the damaged one";
}

// Without such an event both sessions' values stay, and the later one counts where they share a step.
TEST_F(ImportTest, StepsThatGoBackVoidNothing) {
  write("run/events.out.tfevents.1.a", {event(1.7e9, 1, scalar("x", 1)), event(1.7e9, 3, scalar("x", 3)),
                                        event(1.7e9, 2, scalar("x", 2)), event(1.7e9, 1, scalar("x", 7))});
  auto store = create();
  EXPECT_EQ(import(*store).replaced, 1);
  EXPECT_EQ(curve(*store), "1:7 2:2 3:3");
}

// Whatever of a run's points is another, it is imported again; else it stays as it is.
TEST_F(ImportTest, AnyChangeIsSeen) {
  const std::vector<std::string> usual = {event(1.7e9, 1, scalar("x", 1)), event(1.7e9 + 1, 2, scalar("x", 2)),
                                          event(1.7e9 + 2, 3, scalar("y", 3))};
  const auto changed = [&](std::size_t at, const std::string& one) {
    std::vector<std::string> events = usual;
    events[at] = one;
    return events;
  };
  auto more = usual;
  more.push_back(event(1.7e9 + 3, 4, scalar("x", 4)));
  const std::vector<std::vector<std::string>> others = {
      changed(1, event(1.7e9 + 1, 2, scalar("z", 2))), changed(1, event(1.7e9 + 1, 2, scalar("x", 2.5F))),
      changed(2, event(1.7e9 + 2, 4, scalar("y", 3))), changed(1, event(1.7e9 + 1.5, 2, scalar("x", 2))), more};
  auto store = create();
  write("run/events.out.tfevents.1.a", usual);
  EXPECT_EQ(import(*store).added, 1);
  for (const auto& events : others) {
    EXPECT_EQ(import(*store).unchanged, 1);
    write("run/events.out.tfevents.1.a", events);
    EXPECT_EQ(import(*store).updated, 1) << &events - others.data();
    EXPECT_EQ(import(*store).unchanged, 1);
    write("run/events.out.tfevents.1.a", usual);
    EXPECT_EQ(import(*store).updated, 1);
  }
  EXPECT_EQ(curve(*store), "1:1 2:2 3:3");
  EXPECT_EQ(ask(*store, "SELECT count(*) FROM runs"), "1");
}

// A result without a step has step 0 in other tools, though it was logged in the end.
TEST_F(ImportTest, NoStepIsLaterThanThoseAfterIt) {
  write("run/events.out.tfevents.1.a", {event(1.7e9, 0, start()), event(1.7e9 + 1, 1, scalar("x", 1)),
                                        event(1.7e9 + 2, 2, scalar("x", 2)), event(1.7e9 + 9, 0, scalar("test", 5))});
  auto store = create();
  import(*store);
  EXPECT_EQ(
      ask(*store,
          "SELECT group_concat(step || ':' || (seconds - (SELECT min(seconds) FROM progress)), ' ') FROM progress"),
      "0:0.0 1:0.0 2:1.0");
  EXPECT_TRUE(Positions(*store, 1, parse_axis("seconds")).of(2).has_value());
  EXPECT_FALSE(Positions(*store, 1, parse_axis("flops")).of(2).has_value()) << "nobody counted them";
  EXPECT_FALSE(Positions(*store, 1, parse_axis("flops")).of(0).has_value());
}

TEST_F(ImportTest, ScalarsOfEveryType) {
  const std::string content = varint(4 << 3 | 2);  // tensor_content
  const auto bytes = [&](const std::string& value) { return content + varint(value.size()) + value; };
  const auto packed = [](int number, std::uint64_t value) { return field(number, varint(value)); };
  const std::pair<std::string, std::string> all[] = {
      {tensor("float", 1, bytes(raw(0.5F))), "0.5"},
      {tensor("double", 2, bytes(raw(-0.25))), "-0.25"},
      {tensor("int32", 3, bytes(raw(std::int32_t{-7}))), "-7.0"},
      {tensor("uint8", 4, bytes("\xc8")), "200.0"},
      {tensor("int16", 5, bytes(raw(std::int16_t{-300}))), "-300.0"},
      {tensor("int8", 6, bytes("\xff")), "-1.0"},
      {tensor("int64", 9, bytes(raw(std::int64_t{1} << 40))), "1099511627776.0"},
      {tensor("bool", 10, bytes("\x01")), "1.0"},
      {tensor("bfloat16", 14, bytes(raw(std::uint16_t{0x3f00}))), "0.5"},
      {tensor("uint16", 17, bytes(raw(std::uint16_t{65535}))), "65535.0"},
      {tensor("half", 19, bytes(raw(std::uint16_t{0xb800}))), "-0.5"},
      {tensor("half_small", 19, bytes(raw(std::uint16_t{1}))), "5.96046447753906e-08"},
      {tensor("half_inf", 19, bytes(raw(std::uint16_t{0x7c00}))), "Inf"},
      {tensor("half_nan", 19, bytes(raw(std::uint16_t{0x7e00}))), "NULL"},
      {tensor("uint32", 22, bytes(raw(std::uint32_t{4'000'000'000}))), "4000000000.0"},
      {tensor("uint64", 23, bytes(raw(std::uint64_t{1} << 63))), "9.22337203685478e+18"},
      {tensor("half_val", 19, packed(13, 0x3c00)), "1.0"},
      {tensor("bfloat16_val", 14, whole(13, 0x3f80)), "1.0"},
      {tensor("bool_val", 10, packed(11, 1)), "1.0"},
      {tensor("uint32_val", 22, packed(16, 3)), "3.0"},
      {tensor("uint64_val", 23, packed(17, std::uint64_t{1} << 63)), "9.22337203685478e+18"},
      {tensor("int_val", 5, packed(7, static_cast<std::uint64_t>(std::int64_t{-5}))), "-5.0"},
      {tensor("zero", 19, ""), "0.0"},
  };
  std::vector<std::string> events;
  for (const auto& [one, value] : all) events.push_back(event(1.7e9, 1, one));
  events.push_back(event(1.7e9, 1, tensor("text", 7, "")));
  events.push_back(event(1.7e9, 1, tensor("complex", 8, bytes(raw(0.0)))));
  events.push_back(event(1.7e9, 1, tensor("short", 2, bytes("abc"))));
  write("a/events.out.tfevents.1.h", events);
  auto store = create();
  const Imported done = import(*store);
  EXPECT_EQ(done.values, static_cast<std::int64_t>(std::size(all)) + 1) << "and a zero for content of the wrong size";
  EXPECT_EQ(done.skipped, 2);
  for (const auto& [one, value] : all) {
    const std::size_t at = one.find('\x0a', 4);
    const std::string tag = one.substr(at + 2, static_cast<unsigned char>(one[at + 1]));
    EXPECT_EQ(ask(*store, "SELECT coalesce(CAST(last AS TEXT), 'NULL') FROM summaries WHERE key = ?1", {tag}), value)
        << tag;
  }
}

TEST(TensorboardTensorTest, AScalarHasNoDimensionOrEachOfSizeOne) {
  const auto dimension = [](std::uint64_t size, const std::string& name = "") {
    return field(2, whole(1, size) + name);
  };
  const std::pair<std::string, bool> shapes[] = {
      {"", true},
      {dimension(1), true},
      {dimension(1) + dimension(1), true},
      {dimension(1, field(2, "rows")), true},
      {field(2, field(2, "rows") + whole(1, 1)), true},
      {whole(3, 1) + dimension(1), true},  // another field of the shape
      {dimension(0), false},
      {dimension(2), false},
      {dimension(2) + dimension(1), false},
      {dimension(1) + dimension(3), false},
      {field(2, field(2, "rows")), false},  // a size that is left out is 0
      {dimension(~std::uint64_t{0}), false},
  };
  for (const auto& [shape, scalar] : shapes) {
    const std::string message = whole(1, 1) + field(2, shape) + field(5, raw(0.5F));
    const TensorboardTensor tensor = tensor_of(message);
    SCOPED_TRACE(::testing::PrintToString(shape));
    EXPECT_EQ(tensor.scalar, scalar);
    EXPECT_TRUE(tensor.has);
    EXPECT_EQ(tensor.value, 0.5);
  }
}

// Values stand packed or one by one, whatever of them are there; a field that holds none is none.
TEST(TensorboardTensorTest, TheFirstOfItsValues) {
  const auto type = [](std::uint64_t number) { return whole(1, number); };
  const auto alone = [](int number, int wire) { return varint(static_cast<std::uint64_t>(number) << 3 | wire); };
  std::vector<std::pair<std::string, double>> cases = {
      {type(1) + alone(5, 5) + raw(0.5F) + alone(5, 5) + raw(8.0F), 0.5},
      {type(1) + field(5, raw(0.5F) + raw(8.0F)), 0.5},
      {type(1) + field(4, raw(0.5F)) + field(5, raw(8.0F)), 8},
      {type(2) + alone(6, 1) + raw(0.25), 0.25},
      {type(2) + field(6, raw(0.25)), 0.25},
      {type(2) + field(6, raw(0.25) + raw(8.0)), 0.25},
      {type(3) + whole(7, 3) + whole(7, 4), 3},
      {type(9) + field(10, varint(static_cast<std::uint64_t>(std::int64_t{-5})) + varint(7)), -5},
      {type(22) + field(16, varint(300) + varint(1)), 300},
      {type(23) + field(17, std::string(9, '\xff') + "\x01"), 18446744073709551615.0},
      {type(23) + field(17, std::string(9, '\xff') + "\x03"), 9223372036854775807.0},
      {type(23) + field(17, std::string(10, '\x80') + "\x01"), 0},
      {type(19) + whole(13, 0x4248), 3.140625},
      {type(19) + whole(13, 0xfc00), -HUGE_VAL},
      {type(19) + whole(13, 0x8001), -std::ldexp(1, -24)},
      {type(14) + whole(13, 0x4049), 3.140625},
  };
  for (const int none : {3, 8, 9, 12, 14, 15, 18}) cases.emplace_back(type(3) + whole(none, 7), 0);
  for (const auto& [message, value] : cases) {
    const TensorboardTensor tensor = tensor_of(message);
    EXPECT_EQ(tensor.value, value) << ::testing::PrintToString(message);
    EXPECT_TRUE(tensor.has && tensor.scalar);
  }
}

TEST_F(ImportTest, AFineNameIsKept) {
  write("a/events.out.tfevents.1.h", {event(1.7e9, 1, scalar("val acc", 1)), event(1.7e9, 1, scalar("val_acc", 9)),
                                      event(1.7e9, 1, scalar("val:acc", 2))});
  write("b/events.out.tfevents.1.h", {event(1.7e9, 1, scalar("val_acc", 8)), event(1.7e9, 1, scalar("only here", 3))});
  write("c/events.out.tfevents.1.h", {event(1.7e9, 1, scalar("val acc", 7)), event(1.7e9, 1, scalar("only_here", 4))});
  auto store = create();
  import(*store);
  EXPECT_EQ(ask(*store,
                "SELECT group_concat(last, ' ') FROM (SELECT last FROM summaries JOIN runs ON id = run_id WHERE key = "
                "'val_acc' ORDER BY name)"),
            "9.0 8.0");
  EXPECT_EQ(ask(*store, "SELECT group_concat(last, ' ') FROM summaries WHERE key = 'only_here'"), "4.0");
  EXPECT_EQ(ask(*store, "SELECT count(DISTINCT key) FROM summaries WHERE last IN (1, 7)"), "1") << "one name, one key";
  EXPECT_EQ(ask(*store, "SELECT count(DISTINCT key) FROM summaries"), "5");
  EXPECT_EQ(ask(*store,
                "SELECT j.value FROM events, json_each(detail, '$.renamed') j JOIN summaries s ON s.key = j.key AND "
                "s.run_id = events.run_id WHERE last = 2"),
            "val:acc");
  EXPECT_EQ(import(*store).unchanged, 3);
}

// Another source, or our own runs, may have taken the name before.
TEST_F(ImportTest, AChangedNameIsNeverAnothersInTheStore) {
  auto store = create();
  auto run = store->begin({.name = "ours"});
  run->log(run->key("val_acc"), 1, 5);
  run->finish("finished");
  write("a/events.out.tfevents.1.h", {event(1.7e9, 1, scalar("val acc", 1)), event(1.7e9, 1, scalar("val loss", 1))});
  import(*store);
  EXPECT_EQ(ask(*store, "SELECT group_concat(last) FROM summaries WHERE key = 'val_acc'"), "5.0");
  EXPECT_EQ(ask(*store, "SELECT count(*) FROM summaries WHERE key LIKE 'val_acc-%'"), "1");
  EXPECT_EQ(ask(*store, "SELECT count(*) FROM summaries WHERE key = 'val_loss'"), "1");
  EXPECT_EQ(import(*store).unchanged, 1) << "its own name of the last time is no other's";
}

TEST_F(ImportTest, NamesOfOtherAlphabets) {
  write("Größe/events.out.tfevents.1.h",
        {event(1.7e9, 1, scalar("损失/训练", 1)), event(1.7e9, 1, scalar("损失/验证", 2)),
         event(1.7e9, 1, scalar("größe", 3)), event(1.7e9, 1, scalar("a\xff", 4)), event(1.7e9, 1, scalar("😀", 5)),
         event(1.7e9, 1, scalar("", 6)), event(1.7e9, 1, scalar(std::string(300, 'x'), 7)),
         event(1.7e9, 1, scalar(std::string(300, 'x') + "y", 8))});
  auto store = create();
  import(*store);
  EXPECT_EQ(ask(*store, "SELECT name FROM runs"), "Größe");
  EXPECT_EQ(ask(*store, "SELECT group_concat(key, ' ') FROM (SELECT key FROM summaries WHERE last < 7 ORDER BY last)"),
            "u635Fu5931/u8BADu7EC3 u635Fu5931/u9A8Cu8BC1 gru00F6u00DFe a_xff u1F600 _");
  EXPECT_EQ(ask(*store, "SELECT count(*) FROM summaries"), "8");
  EXPECT_EQ(ask(*store, "SELECT j.value FROM events, json_each(detail, '$.renamed') j WHERE j.key = 'gru00F6u00DFe'"),
            "größe");
}

TEST_F(ImportTest, MoreNamesThanAnybodyHas) {
  std::vector<std::string> events;
  for (int i = 0; i <= 20'000; ++i) events.push_back(event(1.7e9, 1, scalar("m" + std::to_string(i), 1)));
  write("run/events.out.tfevents.1.h", events);
  auto store = create();
  expect_error(Exit::data, "import: expected at most 20000 metrics in a run; got more", [&] { import(*store); });
  EXPECT_EQ(ask(*store, "SELECT count(*) FROM runs"), "0");
  KeyNames names(*store);
  for (int i = 0; i < 500'000; ++i) names.know(std::to_string(i));
  names.know("7");
  expect_error(Exit::data, "import: expected at most 500000 metric names; got more", [&] { names.know("one more"); });
}

TEST_F(ImportTest, AFileThatCannotBeRead) {
  std::ofstream(folder_ + "/file") << "x";
  expect_error(Exit::missing, "/none: cannot read; got No such file or directory",
               [&] { RecordReader(folder_ + "/none"); });
  expect_error(Exit::io, "/file/none: cannot read; got Not a directory", [&] { RecordReader(folder_ + "/file/none"); });
}

TEST_F(ImportTest, WhatHoldsNothingIsNoRun) {
  write("empty/events.out.tfevents.1.h", {});
  write("nothing/events.out.tfevents.1.h", {});
  std::ofstream(folder_ + "/tb/nothing/events.out.tfevents.1.h", std::ios::trunc);
  write("graph/events.out.tfevents.1.h", {event(1.7e9, 0, field(4, "a graph"))});
  write("run/events.out.tfevents.1.h", {event(0, 1, scalar("x", 1))}, 1.6e9);  // without a time of its own
  write("times/events.out.tfevents.1.h", {event(1.7e9, 1, scalar("x", 1)), event(253402300799, 2, scalar("x", 1)),
                                          event(253402300800, 3, scalar("x", 1)), event(-1, 4, scalar("x", 1))});
  auto store = create();
  const Imported done = import(*store);
  EXPECT_EQ(done.added, 2);
  EXPECT_EQ(done.empty, 3);
  EXPECT_EQ(ask(*store, "SELECT name || ' ' || started FROM runs"), "run 2020-09-13T12:26:40.000Z");
  EXPECT_EQ(ask(*store, "SELECT started || ' ' || ended FROM runs WHERE name = 'times'"),
            "2023-11-14T22:13:20.000Z 9999-12-31T23:59:59.000Z")
      << "what a time can say";
}

// --- MLflow

TEST_F(ImportTest, MlflowsChildrenKeepTheirParent) {
  const std::string path = folder_ + "/mlflow.db";
  {
    Database database(path, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE);
    database.run(R"sql(
CREATE TABLE experiments (experiment_id INTEGER, name TEXT);
CREATE TABLE runs (run_uuid TEXT, name TEXT, status TEXT, start_time BIGINT, end_time BIGINT, source_name TEXT, source_version TEXT,
  lifecycle_stage TEXT, experiment_id INTEGER);
CREATE TABLE params (key TEXT, value TEXT, run_uuid TEXT);
CREATE TABLE tags (key TEXT, value TEXT, run_uuid TEXT);
CREATE TABLE metrics (key TEXT, value FLOAT, timestamp BIGINT, run_uuid TEXT, step BIGINT, is_nan BOOLEAN);
INSERT INTO experiments VALUES (1, 'Größen 大小');
INSERT INTO runs VALUES ('a1', 'child', 'FINISHED', 1700000001000, 1700000002000, '', '', 'active', 1),
  ('b2', 'Elternlauf 父', 'FINISHED', 1700000000000, 1700000003000, '', '', 'active', 1),
  ('c3', 'of a deleted one', 'FINISHED', NULL, NULL, '', '', 'active', 1),
  ('d4', 'gone', 'FINISHED', 1700000000000, 1700000003000, '', '', 'deleted', 1),
  ('e5', 'grandchild', 'FINISHED', 1700000001000, 1700000002000, '', '', 'active', 1),
  ('f6', 'its own', 'FINISHED', 1700000001000, 1700000002000, '', '', 'active', 1);
INSERT INTO tags VALUES ('mlflow.parentRunId', 'b2', 'a1'), ('mlflow.parentRunId', 'd4', 'c3'), ('mlflow.parentRunId', 'a1', 'e5'),
  ('mlflow.parentRunId', 'f6', 'f6'), ('Stufe größe', 'schön 美', 'a1');
INSERT INTO metrics VALUES ('genauigkeit ä', 0.5, 1700000001000, 'a1', 1, 0);
)sql");
  }
  auto store = create();
  const auto parent = [&](const std::string& name) {
    return ask(
        *store,
        "SELECT (SELECT (SELECT value FROM tags WHERE run_id = p.id AND name = 'run_name') FROM runs p WHERE p.id = "
        "r.parent) FROM runs r JOIN tags t ON t.run_id = r.id AND t.name = 'run_name' AND t.value = ?1",
        {name});
  };
  for (int time = 0; time < 2; ++time) {
    const Imported done = import_mlflow(*store, path, {});
    EXPECT_EQ(done.children, 2);
    EXPECT_EQ(parent("child"), "Elternlauf 父");
    EXPECT_EQ(parent("grandchild"), "child");
    EXPECT_EQ(parent("of a deleted one"), "NULL");
    EXPECT_EQ(parent("its own"), "NULL");
    EXPECT_EQ(done.unchanged, time == 0 ? 0 : 5);
  }
  EXPECT_EQ(ask(*store, "SELECT DISTINCT name FROM runs"), "Größen 大小");
  EXPECT_EQ(ask(*store, "SELECT value FROM tags WHERE name = 'Stufe größe'"), "schön 美");
  EXPECT_EQ(ask(*store, "SELECT key FROM summaries"), "genauigkeit_u00E4");
  EXPECT_EQ(ask(*store, "SELECT count(*) FROM runs WHERE started < '2000'"), "0") << "no run of 1970";
}

}  // namespace
}  // namespace gradus::results
