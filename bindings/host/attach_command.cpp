#include "attach_command.h"

#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <ctime>
#include <fstream>
#include <memory>
#include <sstream>
#include <thread>

#include "commands.h"
#include "error.h"
#include "output.h"
#include "query/query.h"
#include "query/table.h"
#include "store/database.h"

namespace gradus {
namespace {

using namespace results;

constexpr std::chrono::milliseconds kLook(20);

struct Options {
  std::string run, stage;
  std::vector<std::string> set, release;
  bool stop = false, json = false, follow = false;
  double seconds = 30;
  bool asks() const { return stop || !stage.empty() || !set.empty() || !release.empty(); }
};

// --- what the run is doing, as the store knows it: at most a tenth of a second old

Json state_of(const Json& run) {
  Json state = {
      {"run", run["id"]},      {"name", run["name"]},     {"status", run["status"]},   {"step", Json()},
      {"stage", Json()},       {"knobs", Json::object()}, {"by_hand", Json::object()}, {"metrics", Json::object()},
      {"edits", Json::array()}};
  for (const Json& summary : run["summaries"]) {
    const std::string key = summary["key"];
    if (key.starts_with("result/")) continue;
    if (state["step"].is_null() || summary["last_step"] > state["step"]) state["step"] = summary["last_step"];
    if (key.starts_with("knob/"))
      state["knobs"][key.substr(5)] = summary["last"];
    else
      state["metrics"][key] = {{"value", summary["last"]}, {"step", summary["last_step"]}};
  }
  for (const Json& event : run["events"]) {
    const Json& detail = event["detail"];
    if (event["kind"] == "stage" && detail.is_object())
      state["stage"] = {{"name", event["name"]},
                        {"index", detail.value("index", Json())},
                        {"of", detail.value("of", Json())},
                        {"since", event["step"]}};
    if (event["kind"] != "edit") continue;
    state["edits"].push_back({{"step", event["step"]}, {"name", event["name"]}, {"detail", detail}});
    if (!detail.is_object()) continue;
    const Json release = detail.value("release", Json::array()), set = detail.value("set", Json::object());
    for (const Json& name : release) state["by_hand"].erase(name.get<std::string>());
    for (const auto& [name, value] : set.items()) state["by_hand"][name] = value;
  }
  return state;
}

std::string text_of(const Json& state, const Json& run) {
  std::string text = "run " + shown(state["run"]) + "  " + shown(state["name"]) + "  " + run_status(run);
  if (!state["step"].is_null()) text += "  step " + shown(state["step"]);
  text += "\n";
  if (const Json& stage = state["stage"]; stage.is_object())
    text += "  stage  " + shown(stage["name"]) + " (" + shown(stage["index"]) + " of " + shown(stage["of"]) +
            "), since step " + shown(stage["since"]) + "\n";
  if (!state["knobs"].empty()) {
    text += "  knobs ";
    for (const auto& [name, value] : state["knobs"].items())
      text += " " + printable(name) + " " + shown(value) + (state["by_hand"].contains(name) ? " (by hand) " : " ");
    text.back() = '\n';
  }
  Table table;
  table.column("metric");
  for (const char* column : {"last", "step"}) table.column(column, Align::right);
  for (const auto& [key, one] : state["metrics"].items())
    table.row({key, one["value"].is_null() ? "nan" : shown(one["value"]), shown(one["step"])});
  if (!state["metrics"].empty()) text += fitted(table);
  return text;
}

// --- what is wanted of it

using Clock = std::chrono::steady_clock;

// The right to ask a run: one attach has it at a time, and another waits.
FileLock turn(const std::string& folder, const std::string& run, Clock::time_point deadline) {
  FileLock lock = FileLock::of_folder(folder);
  while (!lock.try_lock()) {
    if (Clock::now() > deadline)
      throw Error(Exit::io,
                  "attach: run " + run + ": expected to be alone; got another attach that waits for its answer");
    std::this_thread::sleep_for(kLook);
  }
  return lock;
}

// Another process's half of stdlib/training/attach.lua: a request that appears whole, and the answer that has its id. Whose turn it is
// may replace what an attach that was killed has left.
class Request {
 public:
  Request(const std::string& folder, Json wanted, double seconds)
      : request_(folder + "/attach.request"), answer_(folder + "/attach.answer") {
    id_ = std::to_string(::getpid()) + "-" + std::to_string(Clock::now().time_since_epoch().count());
    wanted["id"] = id_;
    wanted["expires"] = static_cast<double>(::time(nullptr)) + seconds;
    const std::string part = request_ + "." + std::to_string(::getpid());
    std::ofstream file(part);
    file << wanted.dump();
    file.close();
    if (file && ::rename(part.c_str(), request_.c_str()) == 0) return;
    ::unlink(part.c_str());
    throw Error(Exit::io, part + ": cannot be written");
  }
  ~Request() { ::unlink(request_.c_str()); }
  Request(const Request&) = delete;
  Request& operator=(const Request&) = delete;

  // The answer, or null where none has come by now.
  Json answer() const {
    std::ifstream file(answer_);
    if (!file) return {};
    std::stringstream text;
    text << file.rdbuf();
    Json found = Json::parse(text.str(), nullptr, false);
    if (!found.is_object() || found.value("id", "") != id_) return {};
    ::unlink(answer_.c_str());
    return found;
  }

 private:
  std::string request_, answer_, id_;
};

Json wanted_of(const Options& options) {
  Json wanted = Json::object();
  for (const std::string& text : options.set) {
    const std::size_t equals = text.find('=');
    if (equals == 0 || equals == std::string::npos)
      throw Error(Exit::usage, "attach: --set: expected knob=number; got '" + text + "'");
    wanted["set"][text.substr(0, equals)] = text.substr(equals + 1);
  }
  if (!options.release.empty()) wanted["release"] = options.release;
  if (!options.stage.empty()) wanted["stage"] = options.stage;
  if (options.stop) wanted["stop"] = true;
  return wanted;
}

Json ask(Store& store, const Options& options, const Json& run) {
  const auto deadline =
      Clock::now() + std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(options.seconds));
  const std::string folder = run["folder"];
  const FileLock mine = turn(folder, shown(run["id"]), deadline);
  const Request request(folder, wanted_of(options), std::chrono::duration<double>(deadline - Clock::now()).count());
  for (int look = 0; Clock::now() < deadline; ++look) {
    if (Json answer = request.answer(); answer.is_object()) return answer;
    std::this_thread::sleep_for(kLook);
    if (look % 25 == 24 &&
        store.query("SELECT 1 FROM runs WHERE id = ?1 AND status = 'running'", {run["id"].get<std::int64_t>()})
            .rows.empty())
      throw Error(Exit::missing, "attach: run " + shown(run["id"]) + " ended before it could answer");
  }
  throw Error(Exit::missing,
              "attach: no training of run " + shown(run["id"]) + " answered within " + exact(options.seconds) +
                  " s; expected one by distill, fit or run:batches that goes on (--timeout waits longer)");
}

// Shows the state again and again until the run is over; on anything but a terminal only what has changed.
void follow(Store& store, const std::string& run) {
  std::string before;
  for (;;) {
    const Json now = show_run(store, run);
    const std::string text = text_of(state_of(now), now);
    if (styled()) print("\033[H\033[J");
    if (text != before || styled()) print(text);
    before = text;
    if (now["status"] != "running") return;
    std::this_thread::sleep_for(std::chrono::milliseconds(500));
  }
}

void attach_command(const std::string& path, const Options& options) {
  wanted_of(options);  // a bad command line is told first
  const auto store = Store::open(path, Store::Mode::read);
  const Json run = show_run(*store, options.run);
  if (run["status"] != "running")
    throw Error(Exit::usage,
                "attach: run " + shown(run["id"]) + " is " + shown(run["status"]) + "; expected one that is running");
  if (options.follow && (options.asks() || options.json))
    throw Error(Exit::usage,
                "attach: --follow shows; expected no --set, --release, --stage, --stop or --json beside it");
  if (options.follow) return follow(*store, options.run);
  if (!options.asks()) {
    const Json state = state_of(run);
    return options.json ? print_json(state) : print(text_of(state, run));
  }
  Json answer = ask(*store, options, run);
  if (answer.contains("error")) throw Error(Exit::usage, "attach: " + answer["error"].get<std::string>());
  answer.erase("id");
  answer["run"] = run["id"];
  if (options.json) return print_json(answer);
  std::string text =
      "run " + shown(run["id"]) + ", " + shown(answer["training"]) + ", after step " + shown(answer["step"]) + ":";
  for (const Json& done : answer["done"]) text += (text.ends_with(':') ? " " : ", ") + done.get<std::string>();
  print(text + "\n");
  for (const Json& warning : answer.value("warnings", Json::array()))
    std::fprintf(stderr, "gradus: warning: %s\n", printable(warning.get<std::string>()).c_str());
}

}  // namespace

void add_attach_command(CLI::App& app, std::string& store) {
  CLI::App* sub = app.add_subcommand("attach", "what a running run is doing; sets its knobs or its stage");
  auto options = std::make_shared<Options>();  // lives as long as the callback below
  sub->add_option("--store", store, "the store (default: $GRADUS_STORE or runs/gradus.db)");
  sub->add_flag("--json", options->json, "one JSON document on standard output");
  sub->add_option("run", options->run, "an id, the beginning of a uid, or @last")->required();
  sub->add_option("--set", options->set, "a knob from the next step on: temperature=3 (may be repeated)")
      ->allow_extra_args(false);
  sub->add_option("--release", options->release, "gives a knob back to the curriculum (may be repeated)")
      ->allow_extra_args(false);
  sub->add_option("--stage", options->stage, "next, back, or a stage's name");
  sub->add_flag("--stop", options->stop, "ends the training after this step, as a rule that says stop");
  sub->add_flag("--follow,-f", options->follow, "shows it again every half second, until the run is over");
  sub->add_option("--timeout", options->seconds, "seconds to wait for the run's next step (default: 30)")
      ->check(number_from(0.1, 1e6));
  sub->callback([options, &store] { attach_command(store.empty() ? default_store() : store, *options); });
}

}  // namespace gradus
