// Everything that the page and the report tell of one store (whole_store.h), kept whole.
#include <unistd.h>

#include <cstring>
#include <filesystem>
#include <fstream>

#include "page/document.h"
#include "page/page.h"
#include "page/report.h"
#include "whole_store.h"

namespace gradus::results {
namespace {

using WholePageTest = WholeStoreTest;
using Query = std::map<std::string, std::string>;

TEST_F(WholePageTest, Answers) {
  const std::pair<const char*, Query> questions[] = {
      {"/api/runs", {}},
      {"/api/runs",
       {{"children", "1"},
        {"archived", "1"},
        {"facts", "1"},
        {"metrics", "last:val/acc,best:val/loss,best:score,max:score,min:knob/temperature,best:hard/acc"}}},
      {"/api/runs", {{"where", "strategy == 'stages'"}, {"since", "2"}, {"watch", "1"}, {"metrics", "best:nothing"}}},
      {"/api/runs", {{"where", "seed > 50"}, {"since", "9"}}},
      {"/api/runs", {{"runs", "9,1,2"}}},
      {"/api/runs", {{"where", "archived != nil"}}},
      {"/api/run", {{"run", "1"}}},
      {"/api/run", {{"run", "7"}, {"event", "10"}}},
      {"/api/bands", {{"key", "val/acc"}, {"runs", "1,2,3,4,5,6"}, {"by", "strategy"}}},
      {"/api/bands", {{"key", "train/loss"}, {"runs", "1,2,3"}, {"axis", "flops"}, {"columns", "3"}}},
      {"/api/axis", {{"axis", "seconds"}, {"runs", "1,8,2"}}},
      {"/api/axis", {{"axis", "step"}, {"runs", "1"}}},
      {"/api/stages", {{"runs", "1,4,7"}}},
      {"/api/lineage", {{"run", "7"}}},
      {"/api/compare", {{"runs", "1,2,3,4,5,6"}, {"by", "strategy"}, {"versus", "one_shot"}}},
      {"/api/compare", {{"runs", "6"}}},
      {"/api/diff", {{"a", "1"}, {"b", "4"}}},
      {"/api/diff", {{"a", "1"}, {"b", "7"}}},
      {"/api/source", {{"sha256", std::string(64, 'a')}}},
      {"/api/nothing", {}},
      {"/nothing", {}},
      {"", {}},
      {"/api/source", {}},
      {"/api/source", {{"sha256", "0"}}},
      {"/api/run", {{"run", "99"}}},
      {"/api/bands", {{"key", "x"}}},
      {"/api/runs", {{"runs", "1,x"}}},
      {"/api/runs", {{"since", "-1"}}},
      {"/api/runs", {{"metrics", "mean:x"}}},
      {"/api/axis", {{"axis", "weeks"}, {"runs", "1"}}},
      {"/api/compare", {}},
  };
  std::string all;
  for (const auto& [path, query] : questions) {
    const Answer answer = Page(store_).get(path, query);
    all += std::string("# ") + path;
    for (const auto& [name, value] : query) all += " " + name + "=" + value;
    all +=
        "\n" + std::to_string(answer.status) + " " + answer.type + " " + told(lines(Json::parse(answer.body))) + "\n";
  }
  expect_golden("page.txt", all);
}

TEST_F(WholePageTest, Curves) {
  const Query questions[] = {{{"runs", "1,6"}, {"keys", "val/acc,knob/temperature"}},
                             {{"runs", "1"}, {"keys", "train/loss"}, {"columns", "1"}},
                             {{"runs", "1"}, {"keys", "train/loss"}, {"from", "3"}, {"to", "5"}},
                             {{"runs", "1"}, {"keys", "train/loss"}, {"after", "8"}},
                             {{"runs", "1,2"}, {"keys", "train/loss,val/acc"}, {"after", "9,10"}},
                             {{"runs", "1"}, {"keys", "train/loss"}, {"after", "10"}},
                             {{"runs", "1"}, {"keys", "nothing"}},
                             {}};
  std::string all;
  for (const Query& query : questions) {
    const Answer answer = Page(store_).get("/api/curves", query);
    EXPECT_EQ(answer.status, 200);
    EXPECT_EQ(answer.type, std::string_view("application/octet-stream"));
    const std::string& bytes = answer.body;
    std::uint32_t length = 0;
    std::memcpy(&length, bytes.data(), sizeof length);
    const Json head = Json::parse(bytes.substr(4, length));
    std::size_t at = (4 + length + 7) / 8 * 8;
    all += lines(head) + "\n";
    for (const Json& curve : head["curves"]) {
      for (int side = 0; side < 2; ++side) {
        for (int i = 0; i < curve["points"].get<int>(); ++i, at += 8) {
          double value = 0;
          std::memcpy(&value, &bytes.at(at), sizeof value);
          all += " " + lines(value);
        }
        all += "\n";
      }
    }
    EXPECT_EQ(at, bytes.size());
  }
  expect_golden("page_curves.txt", all);
}

TEST_F(WholePageTest, FilesOfARun) {
  const std::string folder = folder_ + "/" + uid(1);
  std::filesystem::create_directories(folder);
  std::ofstream(folder + "/best.safetensors") << "the weights";
  Page page(store_);
  const Answer answer = page.get("/api/artifact", {{"run", "1"}, {"path", "best.safetensors"}});
  ASSERT_GE(answer.file, 0) << answer.body;
  EXPECT_EQ(answer.status, 200);
  EXPECT_EQ(answer.type, std::string_view("application/octet-stream"));
  char bytes[32] = {};
  EXPECT_EQ(::read(answer.file, bytes, sizeof bytes), answer.bytes);
  ::close(answer.file);
  EXPECT_EQ(std::string(bytes), "the weights");
  EXPECT_EQ(page.get("/api/artifact", {{"run", "4"}, {"path", "best.safetensors"}}).status, 404) << "no such file";

  for (const Query& none : {Query{{"run", "1"}}, {{"run", "1"}, {"from", "7"}}})
    EXPECT_EQ(page.get("/api/log", none).body, R"({"from":0,"next":0,"text":""})");
  std::ofstream(folder + "/log.txt") << std::string(300 << 10, 'x') + "end";
  const Json last = Json::parse(page.get("/api/log", {{"run", "1"}}).body);
  EXPECT_EQ(last["from"], (44 << 10) + 3) << "256 KiB at most";
  EXPECT_EQ(last["next"], (300 << 10) + 3);
  EXPECT_EQ(last["text"], std::string((256 << 10) - 3, 'x') + "end");
  const Json first = Json::parse(page.get("/api/log", {{"run", "1"}, {"from", "0"}}).body);
  EXPECT_EQ(first["next"], 256 << 10);
  EXPECT_EQ(page.get("/api/log", {{"run", "1"}, {"from", "307202"}}).body,
            R"({"from":307202,"next":307203,"text":"d"})");
  EXPECT_EQ(page.get("/api/log", {{"run", "1"}, {"from", "400000"}}).body,
            R"({"from":307203,"next":307203,"text":""})");
}

TEST_F(WholePageTest, Reports) {
  ReportOptions options;
  options.runs = {1, 2, 3, 4, 5, 6, 7, 9};
  options.markdown = true;
  expect_golden("report.md", told(report(*store_, options)));
  options.by = {"strategy"}, options.runs = {1, 4, 5}, options.metrics = {"train/loss"}, options.title = "A title";
  expect_golden("report_by.md", told(report(*store_, options)));
  options = {.runs = {1, 6, 7}};
  expect_golden("report.html", told(report(*store_, options)));
  options.runs = {6};
  expect_golden("report_one.html", told(report(*store_, options)));
}

// Two values are a curve, one is none; what the store does not have of a fork's origin; a script by the beginning of its hash.
TEST_F(WholePageTest, WhatAReportShowsAtItsEdges) {
  store_.reset();
  auto store = create();
  RunStart start{
      .name = "edge", .seed = 1, .sources = {{"a/b/x.lua", "0123456789abcdef" + std::string(48, '7'), "return 1"}}};
  start.environment.host = "here";
  auto run = store->begin(start);
  run->log(run->key("one"), 1, 1);
  run->log(run->key("two"), 1, 1), run->log(run->key("two"), 2, 2);
  run->event(0, "resume", "fork", R"({"run":99,"at":4,"set":{"lr":0.5},"uid":"fedcba98765432100123456789abcdef"})");
  run->finish("finished");
  const std::int64_t id = run->id();
  ReportOptions options{.runs = {id}};
  const std::string page = report(*store, options);
  EXPECT_NE(page.find(">two</text>"), std::string::npos);
  EXPECT_EQ(page.find(">one</text>"), std::string::npos);
  options.markdown = true;
  const std::string text = report(*store, options);
  EXPECT_NE(text.find("fedcba98 (not in this store)"), std::string::npos) << text;
  EXPECT_NE(text.find("### x.lua (0123456789ab), runs " + std::to_string(id)), std::string::npos) << text;
  EXPECT_NE(text.find("1 run, started "), std::string::npos);
  expect_error(Exit::missing, "report: no runs", [&] { report(*store, {}); });
}

TEST_F(WholePageTest, ManyRunsAreToldInFullUpToSixty) {
  store_.reset();
  auto store = create();
  ReportOptions options;
  options.markdown = true;
  for (int i = 0; i < 62; ++i) {
    auto run = store->begin({.name = "many", .seed = i});
    run->finish("finished");
    options.runs.push_back(run->id());
  }
  const auto told = [&] {
    const std::string text = report(*store, options);
    int full = 0;
    for (std::size_t at = 0; (at = text.find("### Run ", at)) != std::string::npos; ++at) ++full;
    const std::size_t rest = text.find("The other ");
    return std::to_string(full) +
           (rest == std::string::npos ? "" : text.substr(rest + 9, text.find(' ', rest + 10) - rest - 9));
  };
  EXPECT_EQ(told(), "60 2");
  options.runs.resize(60);
  EXPECT_EQ(told(), "60");
}

// Of long progress every second or third row, and the last one.
TEST_F(WholePageTest, AxesOfLongRuns) {
  store_.reset();
  auto store = create();
  const auto told = [&](int rows) {
    auto run = store->begin({.name = "long"});
    for (int step = 1; step <= rows; ++step) run->progress(step, step, step, step, step);
    run->finish("finished");
    const Json runs = Json::parse(
        Page(store).get("/api/axis", {{"axis", "samples"}, {"runs", std::to_string(run->id())}}).body)["runs"];
    const Json& steps = runs[0]["steps"];
    EXPECT_EQ(steps, runs[0]["at"]);
    return std::to_string(steps.size()) + ": " + steps[0].dump() + " " + steps[1].dump() + " … " +
           steps[steps.size() - 2].dump() + " " + steps[steps.size() - 1].dump();
  };
  EXPECT_EQ(told(1999), "1999: 1 2 … 1998 1999");
  EXPECT_EQ(told(2000), "1001: 1 3 … 1999 2000");
  EXPECT_EQ(told(4001), "1335: 1 4 … 4000 4001");
}

TEST(DocumentTest, BothLanguages) {
  for (const bool markdown : {false, true}) {
    Document doc(markdown);
    doc.heading(2, "a < b # c");
    doc.paragraph("x_y*z [1] `q` | \\ ! & > \n\r end");
    doc.table({"n", "text", "mixed", "empty", "signed"},
              {{"1", "a", "1", "", "-1e+05 ± 0.5"}, {"–", "b", "x", "–", "inf"}, {"2.5 (3 of 4)", "", "2", "", "nan"}});
    doc.table({"", ""}, {{"a", "1"}});
    doc.table({"none"}, {});
    doc.code("x = '```'\n");
    doc.code("no end");
    doc.code("");
    doc.open("more");
    doc.close();
    doc.figure({});
    expect_golden(markdown ? "document.md" : "document.html", doc.take());
  }
}

}  // namespace
}  // namespace gradus::results
