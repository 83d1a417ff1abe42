#include <cmath>
#include <cstring>
#include <fstream>
#include <set>
#include <sstream>

#include "exchange/csv.h"
#include "exchange/exported_run.h"
#include "exchange/import.h"
#include "exchange/json.h"
#include "exchange/mlflow.h"
#include "exchange/protobuf.h"
#include "exchange/tensorboard.h"
#include "exchange/tensorboard_records.h"
#include "exchange/wandb.h"
#include "store/clock.h"
#include "store/database.h"
#include "store/housekeeping.h"
#include "store_fixture.h"

namespace gradus::results {
namespace {

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

class ExportTest : public StoreTest {
 protected:
  // A finished run with what is hard to carry over: doubles that no float holds, NaN, infinity, odd texts.
  std::string add(Store& store, std::int64_t seed = 1) {
    RunStart start{.name = "digits, \"hard\"", .seed = seed};
    start.params = {{"seed", seed}, {"lr", 0.1}, {"note", std::string("a,b\n\"c\"")}, {"flag", true}, {"none", {}}};
    auto run = store.begin(start);
    const int loss = run->key("train/loss");
    run->log(loss, 1, 0.1);
    run->log(loss, 2, 1.0 / 3);
    run->log(loss, 3, kNan);
    run->log(loss, 4, HUGE_VAL);
    run->log(loss, 10, 5e-324);
    run->log(run->key("val/acc"), -3, 0.5);
    run->progress(2, 0.5, 10, 1e6, 4);
    run->progress(10, 1, 20, 2e6, 8);
    run->event(2, "decision", "advance", R"({"acc":0.5})");
    run->finish("finished");
    return run->uid();
  }
  static std::string file(const std::string& path) {
    std::ifstream in(path, std::ios::binary);
    std::stringstream text;
    text << in.rdbuf();
    return text.str();
  }
  void write(const std::string& path, const std::string& bytes) { std::ofstream(path, std::ios::binary) << bytes; }
  std::shared_ptr<Store> other() { return Store::open(folder_ + "/other.db", Store::Mode::create); }
  std::string event_file(const std::string& folder) {
    for (const auto& entry : std::filesystem::recursive_directory_iterator(folder)) {
      if (entry.is_regular_file()) return entry.path().string();
    }
    return {};
  }
  // "step value" lines of a curve.
  static std::string curve(Store& store, const std::string& key) {
    std::string text;
    for (const auto& row : store.query("SELECT step, value FROM metrics WHERE key = ?1 ORDER BY step", {key}).rows) {
      text += std::to_string(std::get<std::int64_t>(row[0])) + " ";
      text += row[1].index() == 0 ? "null" : exact(std::get<double>(row[1]));
      text += "\n";
    }
    return text;
  }
};

TEST_F(ExportTest, Crc32cIsTheStandardsOne) {
  EXPECT_EQ(crc32c("123456789"), 0xe3069283U);            // the check value of the Castagnoli polynomial
  EXPECT_EQ(crc32c(std::string(32, '\0')), 0x8a9136aaU);  // RFC 3720, B.4
  EXPECT_EQ(crc32c(std::string(32, '\xff')), 0x62a8ab43U);
  EXPECT_EQ(crc32c(""), 0U);
}

TEST_F(ExportTest, NumbersReadBackAsTheSameDouble) {
  for (const double value : {0.1, 1.0 / 3, 5e-324, 1.7976931348623157e308, -0.0, 123456789012345680.0})
    EXPECT_EQ(std::strtod(exact(value).c_str(), nullptr), value) << exact(value);
  EXPECT_EQ(exact(kNan), "nan");
  EXPECT_EQ(exact(-HUGE_VAL), "-inf");
}

TEST_F(ExportTest, TimesOfOtherTools) {
  EXPECT_EQ(unix_time("1970-01-01T00:00:01.500Z"), 1.5);
  EXPECT_EQ(unix_time("2000-01-01T02:00:00+02:00"), 946684800);
  EXPECT_EQ(unix_time("1999-12-31 23:00:00.25-01:00"), 946684800.25);
  EXPECT_EQ(unix_time("2000-01-01T00:00:00.123456"), 946684800.123456);
  for (const char* bad : {"", "yesterday", "2000-01-01", "2000-01-01T00:00:xx"})
    EXPECT_TRUE(std::isnan(unix_time(bad)));
}

TEST_F(ExportTest, CsvOfMetricsAndOfAFolder) {
  auto store = create();
  const std::string uid = add(*store);
  EXPECT_EQ(export_csv(*store, {1}, folder_ + "/m.csv").values, 6);
  const std::string head = "1," + uid + ",\"digits, \"\"hard\"\"\",";
  EXPECT_EQ(file(folder_ + "/m.csv"), "id,uid,name,key,step,value\n" + head + "train/loss,1,0.1\n" + head +
                                          "train/loss,2,0.3333333333333333\n" + head + "train/loss,3,nan\n" + head +
                                          "train/loss,4,inf\n" + head + "train/loss,10,5e-324\n" + head +
                                          "val/acc,-3,0.5\n");
  export_csv(*store, {1}, folder_ + "/all");
  EXPECT_EQ(file(folder_ + "/all/metrics.csv"), file(folder_ + "/m.csv"));
  EXPECT_EQ(file(folder_ + "/all/params.csv"), "id,uid,key,value,type\n1," + uid + ",flag,true,boolean\n1," + uid +
                                                   ",lr,0.1,number\n1," + uid + ",none,,null\n1," + uid +
                                                   ",note,\"a,b\n\"\"c\"\"\",string\n1," + uid + ",seed,1,integer\n");
  EXPECT_NE(file(folder_ + "/all/events.csv").find(",decision,advance,\"{\"\"acc\"\":0.5}\""), std::string::npos);
  EXPECT_EQ(file(folder_ + "/all/progress.csv").substr(0, 43),
            "id,uid,step,epoch,samples,flops,seconds\n1," + uid.substr(0, 1));
  EXPECT_NE(file(folder_ + "/all/runs.csv").find("\"digits, \"\"hard\"\"\""), std::string::npos);
}

// Two of each column's values and both ends; a point more would be more than was asked for.
TEST_F(ExportTest, CsvOfSomePointsOfACurve) {
  auto store = create();
  auto run = store->begin({.name = "long"});
  for (int step = 0; step < 1000; ++step) run->log(run->key("x"), step, (step + 311) * 7919 % 1009);
  run->finish("finished");
  for (const auto& [points, written] : {std::pair{1, 4}, {4, 4}, {7, 4}, {8, 6}, {12, 10}, {13, 10}, {100, 98}}) {
    EXPECT_EQ(export_csv(*store, {1}, folder_ + "/some.csv", {.metrics = {}, .points = points}).values, written)
        << points;
  }
  EXPECT_EQ(export_csv(*store, {1}, folder_ + "/all.csv").values, 1000);
}

TEST_F(ExportTest, JsonIsOneDocument) {
  auto store = create();
  add(*store);
  add(*store, 2);
  set_tag(*store, 1, "paper", "table 2"), set_tag(*store, 1, "kept", "");
  export_json(*store, select_runs(*store, {}, {}), folder_ + "/x.json");
  const Json all = Json::parse(file(folder_ + "/x.json"));
  ASSERT_EQ(all["runs"].size(), 2U);
  const Json& run = all["runs"][0];
  EXPECT_EQ(run["params"]["flag"], true);
  EXPECT_TRUE(run["params"]["none"].is_null());
  EXPECT_EQ(run["metrics"]["train/loss"].dump(), R"([[1,0.1],[2,0.3333333333333333],[3,null],[4,"inf"],[10,5e-324]])");
  EXPECT_EQ(run["progress"][1]["seconds"], 8);
  EXPECT_EQ(run["events"][0]["detail"]["acc"], 0.5);
  EXPECT_EQ(run["tags"].dump(), R"({"kept":"","paper":"table 2"})");
  EXPECT_EQ(all["runs"][1]["tags"], Json::object());
  EXPECT_EQ(all["runs"][1]["seed"], 2);
}

TEST_F(ExportTest, WhichRuns) {
  auto store = create();
  const std::string uid = add(*store);
  add(*store, 2);
  EXPECT_EQ(select_runs(*store, {"@last", uid.substr(0, 12), "1"}, {}), (std::vector<std::int64_t>{2, 1}));
  EXPECT_EQ(select_runs(*store, {}, {.where = "seed = 2"}), (std::vector<std::int64_t>{2}));
  expect_error(Exit::missing, "fits --where", [&] { select_runs(*store, {}, {.where = "seed = 3"}); });
  expect_error(Exit::usage, "got both", [&] { select_runs(*store, {"1"}, {.where = "seed = 2"}); });
}

TEST_F(ExportTest, AFileThatFailsIsNotThere) {
  auto store = create();
  add(*store);
  expect_error(Exit::io, "cannot write", [&] { export_csv(*store, {1}, folder_ + "/no/x.csv"); });
  expect_error(Exit::missing, "", [&] { export_csv(*store, {1, 99}, folder_ + "/half.csv"); });
  for (const auto& entry : std::filesystem::directory_iterator(folder_))
    EXPECT_EQ(entry.path().string().find("half"), std::string::npos) << entry.path();
}

TEST_F(ExportTest, TensorBoardThereAndBack) {
  auto store = create();
  add(*store);
  export_tensorboard(*store, {1}, folder_ + "/tb");
  export_tensorboard(*store, {1}, folder_ + "/tb");  // replaces itself
  auto into = other();
  Imported done = import_tensorboard(*into, folder_ + "/tb", {});
  EXPECT_EQ(done.added, 1);
  EXPECT_EQ(done.values, 6);
  EXPECT_EQ(done.skipped, 2) << "the texts: parameters and the decision";
  // The format has 32-bit floats.
  EXPECT_EQ(curve(*into, "train/loss"), "1 " + exact(0.1F) + "\n2 " + exact(1.0F / 3) + "\n3 null\n4 inf\n10 0\n");
  EXPECT_EQ(curve(*into, "val/acc"), "-3 0.5\n");
  EXPECT_EQ(ask(*into,
                "SELECT group_concat(key || '=' || ifnull(value, 'null') || ':' || type, ' ') FROM (SELECT * FROM "
                "params WHERE key <> 'note' ORDER BY key)"),
            "flag=1:boolean lr=0.1:number none=null:null seed=1:integer");
  EXPECT_EQ(ask(*into, "SELECT kind || status || seed || count FROM runs, summaries WHERE key = 'train/loss'"),
            "importfinished15");
  EXPECT_EQ(ask(*into, "SELECT max(seconds) - min(seconds) FROM progress"), "8") << "wall times follow the progress";
  done = import_tensorboard(*into, folder_ + "/tb", {});
  EXPECT_EQ(done.unchanged, 1);
  EXPECT_EQ(ask(*into, "SELECT count(*) FROM metrics"), "6");
}

// A run's seed is a column of ours; other tools have settings only.
TEST_F(ExportTest, TheSeedGoesAlong) {
  auto store = create();
  auto run = store->begin({.name = "a", .seed = 7, .params = {{"lr", 0.1}}});
  run->log(run->key("x"), 1, 1);
  run->finish("finished");
  export_tensorboard(*store, {1}, folder_ + "/tb");
  export_mlflow(*store, {1}, folder_ + "/mlflow.db");
  export_wandb(*store, {1}, folder_ + "/wandb");
  auto into = other();
  import_tensorboard(*into, folder_ + "/tb", {});
  import_mlflow(*into, folder_ + "/mlflow.db", {});
  EXPECT_EQ(
      ask(*into, "SELECT group_concat(seed || ' ' || value) FROM runs JOIN params ON run_id = id WHERE key = 'seed'"),
      "7 7,7 7");
  for (const auto& entry : std::filesystem::recursive_directory_iterator(folder_ + "/wandb")) {
    if (entry.path().extension() == ".wandb") EXPECT_NE(file(entry.path()).find("seed"), std::string::npos);
  }
}

// MLflow's columns have an end: what is longer is cut between characters, and counted.
TEST_F(ExportTest, MlflowHasNoRoomForLongTexts) {
  auto store = create();
  std::string longest, longer;
  for (int i = 0; i < 250; ++i) longest += "é", longer += "é";
  longer += "x";
  store->begin({.name = "a", .params = {{"fits", longest}}})->finish("finished");
  store->begin({.name = "a", .params = {{"cut", longer}, {std::string(251, 'k'), 1}}})->finish("finished");
  EXPECT_EQ(export_mlflow(*store, {1}, folder_ + "/fits.db").cut, 0);
  EXPECT_EQ(export_mlflow(*store, {1, 2}, folder_ + "/mlflow.db").cut, 2);
  Database file(folder_ + "/mlflow.db", SQLITE_OPEN_READONLY);
  auto param = file.prepare("SELECT value FROM params WHERE \"key\" = ?1");
  ASSERT_TRUE(param.bind(1, std::string_view("cut")).step());
  EXPECT_EQ(param.text(0), longest);
  param.reset();
  ASSERT_TRUE(param.bind(1, std::string_view(std::string(250, 'k'))).step());
}

TEST_F(ExportTest, MlflowThereAndBack) {
  auto store = create();
  const std::string uid = add(*store);
  add(*store, 2);
  export_mlflow(*store, {1}, folder_ + "/mlflow.db");
  export_mlflow(*store, {1, 2}, folder_ + "/mlflow.db");  // adds one, replaces the other
  auto into = other();
  Imported done = import_mlflow(*into, folder_ + "/mlflow.db", {});
  EXPECT_EQ(done.added, 2);
  EXPECT_EQ(done.values, 12);
  EXPECT_EQ(ask(*into,
                "SELECT group_concat(step || ' ' || ifnull(value, 'null'), ',') FROM (SELECT * FROM metrics WHERE "
                "run_id = 1 AND key = 'train/loss' ORDER BY step)"),
            "1 0.1,2 0.333333333333333,3 null,4 Inf,10 4.94065645841247e-324");
  EXPECT_EQ(ask(*into, "SELECT value = 1.0 / 3 FROM metrics WHERE step = 2 AND run_id = 1"), "1") << "all 53 bits";
  EXPECT_EQ(ask(*into, "SELECT group_concat(name || seed) FROM runs"), "digits, \"hard\"1,digits, \"hard\"2");
  EXPECT_EQ(import_mlflow(*into, folder_ + "/mlflow.db", {}).unchanged, 2);
  EXPECT_EQ(import_mlflow(*store, folder_ + "/mlflow.db", {}).unchanged, 2)
      << "runs of this store come back as themselves";
  // Something changed there: the run is replaced, and what the user wrote here stays.
  into->write([](Database& database) { database.run("UPDATE runs SET note = 'mine'"); });
  {
    Database file(folder_ + "/mlflow.db", SQLITE_OPEN_READWRITE);
    file.run("DELETE FROM metrics WHERE step = 10");
  }
  done = import_mlflow(*into, folder_ + "/mlflow.db", {});
  EXPECT_EQ(done.updated, 2);
  EXPECT_EQ(ask(*into, "SELECT count(*) FROM metrics"), "10");
  EXPECT_EQ(ask(*into, "SELECT count FROM summaries WHERE run_id = 1 AND key = 'train/loss'"), "4");
  EXPECT_EQ(ask(*into, "SELECT count(*) FROM runs WHERE note = 'mine'"), "2");
  EXPECT_EQ(ask(*into, "SELECT count(*) FROM events"), "2");
}

// The records of a log, each piece's place and checksum checked; the checksums bit by bit, as the format says them.
std::vector<std::string> records_of(const std::string& log) {
  EXPECT_EQ(log.substr(0, 7), std::string(":W&B\xe1\xbe\0", 7));
  std::vector<std::string> records;
  for (std::size_t at = 7; at < log.size();) {
    if (const std::size_t room = 32768 - at % 32768; room < 7) {
      EXPECT_EQ(log.substr(at, room), std::string(room, '\0'));
      at += room;
      continue;
    }
    std::uint32_t crc = 0, sum = ~0U;
    std::uint16_t length = 0;
    std::memcpy(&crc, log.data() + at, 4);
    std::memcpy(&length, log.data() + at + 4, 2);
    const int type = log[at + 6];
    const std::string bytes = log.substr(at + 7, length);
    for (const char byte : log.substr(at + 6, 1) + bytes) {
      sum ^= static_cast<unsigned char>(byte);
      for (int bit = 0; bit < 8; ++bit) sum = sum >> 1 ^ (sum & 1 ? 0xedb88320U : 0);
    }
    EXPECT_EQ(crc, ~sum) << "at byte " << at;
    EXPECT_LE(at % 32768 + 7 + length, 32768U) << "no piece crosses a border";
    if (type == 1 || type == 2) records.emplace_back();
    records.back() += bytes;
    at += 7 + length;
  }
  return records;
}

TEST_F(ExportTest, WandbLogKeepsRecordsOfEverySizeApart) {
  std::vector<std::string> written;
  WandbLog log(folder_ + "/run.wandb");
  // Whole blocks; a rest of 0, 3, 6 and 7 bytes in a block; nothing; more than two blocks.
  for (const std::size_t size :
       {32768UL - 16, 32768UL - 12, 32768UL - 19, 0UL, 32768UL - 9, 32768UL - 29, 1UL, 100000UL, 0UL}) {
    const std::string message(size, static_cast<char>('a' + written.size()));
    log.record(message);
    written.push_back(protobuf::put(1, std::uint64_t{written.size() + 1}) + message);
  }
  log.finish();
  EXPECT_EQ(records_of(file(folder_ + "/run.wandb")), written);
}

// A message as text: numbers of fields and what they hold, {…} what is itself a message by `inner`.
std::string told(std::string_view message, const std::string& path, const std::set<std::string>& inner) {
  std::string text;
  protobuf::each_field(message, [&](const protobuf::Field& f) {
    const std::string here = path + "." + std::to_string(f.number);
    text += (text.empty() ? "" : " ") + std::to_string(f.number) + ":";
    text += f.wire != 2         ? std::to_string(static_cast<std::int64_t>(f.bits))
            : inner.count(here) ? "{" + told(f.bytes, here, inner) + "}"
                                : std::string(f.bytes);
  });
  return text;
}

TEST_F(ExportTest, WandbRunHasConfigurationHistoryAndEnd) {
  auto store = create();
  const std::string uid = add(*store);
  store->write([](Database& database) {
    database.run(
        "UPDATE runs SET started = '2026-01-02T03:04:05.5Z', host = 'h', note = 'why'; UPDATE events SET time = "
        "'2026-01-02T03:04:06Z'; INSERT INTO tags VALUES (1, 'best', ''), (1, 'size', 'tiny'); INSERT INTO params "
        "VALUES "
        "(1, 'opt.name', 'sgd', 'string'), (1, 'a.b', 1, 'integer'), (1, 'a', 2, 'integer')");
  });
  EXPECT_EQ(export_wandb(*store, {1}, folder_ + "/wandb").values, 6);
  const std::string run = folder_ + "/wandb/offline-run-20260102_030405-" + uid;
  EXPECT_TRUE(std::filesystem::is_directory(run + "/files"));
  const std::string first = file(run + "/run-" + uid + ".wandb");
  write(run + "/run-" + uid + ".wandb.synced", "");
  export_wandb(*store, {1}, folder_ + "/wandb");
  EXPECT_EQ(file(run + "/run-" + uid + ".wandb"), first) << "written again, it is the same";
  EXPECT_FALSE(std::filesystem::exists(run + "/run-" + uid + ".wandb.synced")) << "and to be synced again";
  std::vector<std::string> records;
  for (const std::string& record : records_of(file(run + "/run-" + uid + ".wandb")))
    records.push_back(told(record, "",
                           {".2", ".2.1", ".2.2", ".3", ".3.1", ".13", ".13.2", ".17", ".17.4", ".17.4.1", ".17.17",
                            ".18", ".21", ".21.1"}));
  const std::string group = exported_run(*store, 1).group();
  const std::vector<std::string> expected = {
      "1:1 21:{1:{1:gradus 2:0.13.0}}",
      "1:2 17:{1:" + uid +
          " 3:digits___hard_ 4:{1:{2:a 16:2} 1:{2:a.b 16:1} 1:{2:flag 16:true} 1:{2:lr 16:0.1} 1:{2:none 16:null} "
          "1:{2:note 16:\"a,b\\n\\\"c\\\"\"} 1:{2:opt 2:name 16:\"sgd\"} 1:{2:seed 16:1}} 6:" +
          group + " 7:run 8:digits, \"hard\"-1 9:why 10:best 10:size=tiny 13:h 17:{1:1767323045 2:500000000}}",
      "1:3 2:{1:{2:val/acc 16:0.5} 1:{2:_step 16:-3} 1:{2:_timestamp 16:1767323045.5} 1:{2:_runtime 16:0} 2:{1:-3}}",
      "1:4 2:{1:{2:train/loss 16:0.1} 1:{2:progress/epoch 16:0.25} 1:{2:progress/samples 16:5} 1:{2:progress/flops "
      "16:5e+05} 1:{2:_step 16:1} 1:{2:_timestamp 16:1767323047.5} 1:{2:_runtime 16:2} 2:{1:1}}",
      "1:5 2:{1:{2:train/loss 16:0.3333333333333333} 1:{2:progress/epoch 16:0.5} 1:{2:progress/samples 16:10} "
      "1:{2:progress/flops 16:1e+06} 1:{2:_step 16:2} 1:{2:_timestamp 16:1767323049.5} 1:{2:_runtime 16:4} 2:{1:2}}",
      "1:6 2:{1:{2:train/loss 16:NaN} 1:{2:progress/epoch 16:0.563} 1:{2:progress/samples 16:11} 1:{2:progress/flops "
      "16:1125000} 1:{2:_step 16:3} 1:{2:_timestamp 16:1767323050} 1:{2:_runtime 16:4.5} 2:{1:3}}",
      "1:7 2:{1:{2:train/loss 16:Infinity} 1:{2:progress/epoch 16:0.625} 1:{2:progress/samples 16:13} "
      "1:{2:progress/flops 16:1250000} 1:{2:_step 16:4} 1:{2:_timestamp 16:1767323050.5} 1:{2:_runtime 16:5} 2:{1:4}}",
      "1:8 2:{1:{2:train/loss 16:5e-324} 1:{2:progress/epoch 16:1} 1:{2:progress/samples 16:20} 1:{2:progress/flops "
      "16:2e+06} 1:{2:_step 16:10} 1:{2:_timestamp 16:1767323053.5} 1:{2:_runtime 16:8} 2:{1:10}}",
      "1:9 3:{1:{2:_runtime 16:8} 1:{2:_step 16:10} 1:{2:_timestamp 16:1767323053.5} 1:{2:progress/epoch 16:1} "
      "1:{2:progress/flops 16:2e+06} 1:{2:progress/samples 16:20} 1:{2:train/loss 16:5e-324} 1:{2:val/acc 16:0.5}}",
      "1:10 13:{1:1 2:{1:1767323046 2:0} 3:step 2  decision  advance  {\"acc\":0.5}\n}",
      "1:11 18:{1:0 2:8}",
  };
  EXPECT_EQ(records, expected);
}

TEST_F(ExportTest, WandbEndsAsTheRunDid) {
  auto store = create();
  const auto last = [&](const char* status) {
    auto run = store->begin(RunStart{.name = "x"});
    run->log(run->key("loss"), 1, 1);
    const std::int64_t id = run->id();
    if (std::string(status) != "running")
      run->finish(status);
    else
      run->flush();
    std::filesystem::remove_all(folder_ + "/wandb");
    export_wandb(*store, {id}, folder_ + "/wandb");
    return told(records_of(file(event_file(folder_ + "/wandb"))).back(), "", {".18"});
  };
  EXPECT_EQ(last("finished"), "1:5 18:{1:0 2:0}");
  EXPECT_EQ(last("failed"), "1:5 18:{1:1 2:0}");
  EXPECT_EQ(last("interrupted"), "1:5 18:{1:255 2:0}");
  EXPECT_EQ(last("running").substr(0, 6), "1:4 3:") << "a summary, and no end";
}

TEST_F(ExportTest, TensorBoardTellsHowASessionEnded) {
  auto store = create();
  for (const auto& [status, code] : {std::pair{"finished", 1}, {"failed", 2}, {"interrupted", 2}, {"running", 3}}) {
    auto run = store->begin(RunStart{.name = "x"});
    run->log(run->key("loss"), 1, 1);
    run->flush();
    if (std::string(status) != "running") run->finish(status);
    std::filesystem::remove_all(folder_ + "/tb");
    export_tensorboard(*store, {run->id()}, folder_ + "/tb");
    EXPECT_NE(file(event_file(folder_ + "/tb")).find({'\x08', static_cast<char>(code), '\x11'}), std::string::npos)
        << status;
  }
}

// What a foreign writer made of its times is no time: the beginning of all.
TEST_F(ExportTest, TimesThatAreNone) {
  auto store = create();
  const std::string uid = add(*store);
  store->write([](Database& database) { database.run("UPDATE runs SET started = 'once', ended = 'then'"); });
  export_tensorboard(*store, {1}, folder_ + "/tb");
  EXPECT_TRUE(event_file(folder_ + "/tb").ends_with("/events.out.tfevents.0.gradus." + uid.substr(0, 8)));
  export_wandb(*store, {1}, folder_ + "/wandb");
  EXPECT_TRUE(std::filesystem::is_directory(folder_ + "/wandb/offline-run-19700101_000000-" + uid));
  store->write([](Database& database) {
    database.run("UPDATE runs SET started = '2026-01-02T03:04:05Z'; UPDATE events SET time = 'never'");
  });
  export_wandb(*store, {1}, folder_ + "/wandb");
  const std::string log = file(folder_ + "/wandb/offline-run-20260102_030405-" + uid + "/run-" + uid + ".wandb");
  const std::vector<std::string> records = records_of(log);
  EXPECT_EQ(told(records[records.size() - 2], "", {".13", ".13.2"}),
            "1:10 13:{1:1 2:{1:1767323045 2:0} 3:step 2  decision  advance  {\"acc\":0.5}\n}");
}

TEST_F(ExportTest, TrackioTypesAndNames) {
  {
    Database file(folder_ + "/proj.db", SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE);
    file.run(R"sql(
      CREATE TABLE metrics (id INTEGER PRIMARY KEY, run_id TEXT, timestamp TEXT, run_name TEXT, step INTEGER,
        metrics TEXT);
      CREATE TABLE configs (id INTEGER PRIMARY KEY, run_id TEXT, run_name TEXT, config TEXT, created_at TEXT);
      INSERT INTO configs VALUES (1, 'r1', 'apple-0',
        '{"lr": 0.5, "opt": {"name": "sgd", "steps": 3}, "_Username": "x"}', '');
      INSERT INTO metrics VALUES
        (1, 'r1', '2026-01-01T00:00:00+00:00', 'apple-0', 0,
          '{"train loss": 1, "train_loss": 7, "image": {"_type": "x"}}'),
        (2, 'r1', '2026-01-01T00:00:02+00:00', 'apple-0', 1, '{"train loss": "NaN", "train:loss": "-Infinity"}'),
        (3, 'r2', '2026-01-01T00:00:00+00:00', 'pear-1', 0, '{"train_loss": 0.25}');)sql");
  }
  auto into = create();
  const Imported done = import_trackio(*into, folder_ + "/proj.db", {});
  EXPECT_EQ(done.added, 2);
  EXPECT_EQ(done.values, 5);
  EXPECT_EQ(done.skipped, 1);
  EXPECT_EQ(ask(*into, "SELECT group_concat(key || '=' || value || type, ' ') FROM params"),
            "lr=0.5number opt.name=sgdstring opt.steps=3integer");
  EXPECT_EQ(ask(*into, "SELECT count(DISTINCT key) FROM metrics WHERE run_id = 1"), "3") << "no two names become one";
  EXPECT_EQ(ask(*into,
                "SELECT count(*) FROM events, json_each(detail, '$.renamed') WHERE value IN ('train loss', "
                "'train_loss', 'train:loss')"),
            "2")
      << "a fine name is kept";
  EXPECT_EQ(ask(*into, "SELECT group_concat(value) FROM metrics WHERE key = 'train_loss'"), "7.0,0.25");
  EXPECT_EQ(ask(*into, "SELECT seconds FROM runs WHERE id = 1"), "2");
  EXPECT_EQ(ask(*into, "SELECT value FROM tags WHERE run_id = 2 AND name = 'run_name'"), "pear-1");
}

TEST_F(ExportTest, DamagedEventFilesAreRefused) {
  auto store = create();
  add(*store);
  export_tensorboard(*store, {1}, folder_ + "/tb");
  const std::string path = event_file(folder_ + "/tb"), good = file(path);
  auto into = other();
  const auto refused = [&](const std::string& bytes, const char* part) {
    write(path, bytes);
    expect_error(Exit::data, part, [&] { import_tensorboard(*into, folder_ + "/tb", {}); });
    EXPECT_EQ(ask(*into, "SELECT count(*) FROM runs"), "0") << "nothing of a damaged file is taken";
  };
  refused(good.substr(0, good.size() - 3), "expected a record of");
  refused(good.substr(0, good.size() - 49), "expected a record's head; got the end of the file");
  std::string bad = good;
  bad[bad.size() - 7] ^= 1;
  refused(bad, "checksum of the record's bytes");
  bad = good;
  bad[3] ^= 0x40;
  refused(bad, "at byte 0; expected the checksum of the record's length");
  // A length that lies, with a checksum that is right: refused before memory is taken for it.
  const std::uint64_t huge = std::uint64_t{1} << 60;
  std::string head(reinterpret_cast<const char*>(&huge), 8);
  const std::uint32_t crc = masked_crc32c(head);
  head.append(reinterpret_cast<const char*>(&crc), 4);
  refused(head + std::string(100, 'x'), "expected a record of 1152921504606846976 bytes");
  // A record with right checksums that is no Event.
  const std::uint64_t three = 3;
  head.assign(reinterpret_cast<const char*>(&three), 8);
  const std::uint32_t head_crc = masked_crc32c(head), body_crc = masked_crc32c("\x2a\xff\x01");
  head.append(reinterpret_cast<const char*>(&head_crc), 4);
  refused(head + "\x2a\xff\x01" + std::string(reinterpret_cast<const char*>(&body_crc), 4),
          "expected a protobuf message");
  refused("no event file at all", "checksum");
  // What is before the damage, on request.
  write(path, good.substr(0, good.size() - 3));
  EXPECT_EQ(import_tensorboard(*into, folder_ + "/tb", {.partial = true}).values, 5);
}

TEST_F(ExportTest, ForeignAndHostileDatabasesAreRefused) {
  auto into = create();
  add(*into);
  write(folder_ + "/text.db", std::string(5000, 'x'));
  expect_error(Exit::data, "that SQLite cannot read", [&] { import_mlflow(*into, folder_ + "/text.db", {}); });
  expect_error(Exit::data, "without the table experiments", [&] { import_mlflow(*into, path_, {}); });
  expect_error(Exit::missing, "no such file", [&] { import_trackio(*into, folder_ + "/none.db", {}); });
  expect_error(Exit::data, "no regular file", [&] { import_trackio(*into, folder_, {}); });
  expect_error(Exit::data, "not an MLflow store", [&] { export_mlflow(*into, {1}, path_); });
  expect_error(Exit::data, "", [&] { export_mlflow(*into, {1}, folder_ + "/text.db"); });
  expect_error(Exit::data, "expected a file; got something else", [&] { export_mlflow(*into, {1}, folder_); });

  export_mlflow(*into, {1}, folder_ + "/m.db");
  const auto spoil = [&](const char* sql) {
    std::filesystem::copy_file(folder_ + "/m.db", folder_ + "/bad.db",
                               std::filesystem::copy_options::overwrite_existing);
    Database(folder_ + "/bad.db", SQLITE_OPEN_READWRITE).run(sql);
    auto clean = Store::open(folder_ + "/clean.db", Store::Mode::create);
    expect_error(Exit::data, "expected an MLflow store", [&] { import_mlflow(*clean, folder_ + "/bad.db", {}); });
    EXPECT_EQ(ask(*clean, "SELECT count(*) FROM runs"), "0");
  };
  spoil("UPDATE metrics SET value = 'many' WHERE step = 2");
  spoil("UPDATE metrics SET step = 'x' WHERE step = 2");
  spoil(
      "PRAGMA writable_schema = 1; DROP TABLE tags; CREATE VIEW tags AS SELECT 'a' AS key, 'b' AS value, 1 AS "
      "run_uuid");
  spoil("UPDATE params SET value = zeroblob(20000000)");
  const std::string whole = file(folder_ + "/m.db");
  write(folder_ + "/bad.db", whole.substr(0, whole.size() / 3));
  expect_error(Exit::data, "", [&] { import_mlflow(*into, folder_ + "/bad.db", {}); });
}

}  // namespace
}  // namespace gradus::results
