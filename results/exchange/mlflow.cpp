#include "mlflow.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <limits>
#include <optional>

#include "error.h"
#include "exported_run.h"
#include "output_file.h"
#include "store/clock.h"
#include "store/database.h"

namespace gradus::results {

namespace fs = std::filesystem;

namespace {

constexpr const char* kSchema = R"sql(
CREATE TABLE experiments (
  experiment_id INTEGER NOT NULL, name VARCHAR(256) NOT NULL, artifact_location VARCHAR(256),
  lifecycle_stage VARCHAR(32), creation_time BIGINT, last_update_time BIGINT,
  CONSTRAINT experiment_pk PRIMARY KEY (experiment_id),
  CONSTRAINT experiments_lifecycle_stage CHECK (lifecycle_stage IN ('active', 'deleted')), UNIQUE (name));
CREATE TABLE alembic_version (
  version_num VARCHAR(32) NOT NULL, CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num));
CREATE TABLE experiment_tags (
  "key" VARCHAR(250) NOT NULL, value VARCHAR(5000), experiment_id INTEGER NOT NULL,
  CONSTRAINT experiment_tag_pk PRIMARY KEY ("key", experiment_id),
  FOREIGN KEY(experiment_id) REFERENCES experiments (experiment_id));
CREATE TABLE "tags" (
  "key" VARCHAR(250) NOT NULL, value VARCHAR(5000), run_uuid VARCHAR(32) NOT NULL,
  CONSTRAINT tag_pk PRIMARY KEY ("key", run_uuid), FOREIGN KEY(run_uuid) REFERENCES runs (run_uuid));
CREATE TABLE registered_models (
  name VARCHAR(256) NOT NULL, creation_time BIGINT, last_updated_time BIGINT, description VARCHAR(5000),
  CONSTRAINT registered_model_pk PRIMARY KEY (name), UNIQUE (name));
CREATE TABLE "runs" (
  run_uuid VARCHAR(32) NOT NULL, name VARCHAR(250), source_type VARCHAR(20), source_name VARCHAR(500),
  entry_point_name VARCHAR(50), user_id VARCHAR(256), status VARCHAR(9), start_time BIGINT, end_time BIGINT,
  source_version VARCHAR(50), lifecycle_stage VARCHAR(20), artifact_uri VARCHAR(200), experiment_id INTEGER,
  deleted_time BIGINT,
  CONSTRAINT run_pk PRIMARY KEY (run_uuid),
  CONSTRAINT runs_lifecycle_stage CHECK (lifecycle_stage IN ('active', 'deleted')),
  CONSTRAINT source_type CHECK (source_type IN ('NOTEBOOK', 'JOB', 'LOCAL', 'UNKNOWN', 'PROJECT')),
  FOREIGN KEY(experiment_id) REFERENCES experiments (experiment_id),
  CHECK (status IN ('SCHEDULED', 'FAILED', 'FINISHED', 'RUNNING', 'KILLED')));
CREATE TABLE registered_model_tags (
  "key" VARCHAR(250) NOT NULL, value VARCHAR(5000), name VARCHAR(256) NOT NULL,
  CONSTRAINT registered_model_tag_pk PRIMARY KEY ("key", name),
  FOREIGN KEY(name) REFERENCES registered_models (name) ON UPDATE cascade);
CREATE TABLE "model_versions" (
  name VARCHAR(256) NOT NULL, version INTEGER NOT NULL, creation_time BIGINT, last_updated_time BIGINT,
  description VARCHAR(5000), user_id VARCHAR(256), current_stage VARCHAR(20), source VARCHAR(500), run_id VARCHAR(32),
  status VARCHAR(20), status_message VARCHAR(500), run_link VARCHAR(500),
  CONSTRAINT model_version_pk PRIMARY KEY (name, version),
  FOREIGN KEY(name) REFERENCES registered_models (name) ON UPDATE CASCADE);
CREATE TABLE model_version_tags (
  "key" VARCHAR(250) NOT NULL, value VARCHAR(5000), name VARCHAR(256) NOT NULL, version INTEGER NOT NULL,
  CONSTRAINT model_version_tag_pk PRIMARY KEY ("key", name, version),
  FOREIGN KEY(name, version) REFERENCES model_versions (name, version) ON UPDATE cascade);
CREATE TABLE "latest_metrics" (
  "key" VARCHAR(250) NOT NULL, value FLOAT NOT NULL, timestamp BIGINT, step BIGINT NOT NULL, is_nan BOOLEAN NOT NULL,
  run_uuid VARCHAR(32) NOT NULL, CONSTRAINT latest_metric_pk PRIMARY KEY ("key", run_uuid),
  FOREIGN KEY(run_uuid) REFERENCES runs (run_uuid), CHECK (is_nan IN (0, 1)));
CREATE TABLE "metrics" (
  "key" VARCHAR(250) NOT NULL, value FLOAT NOT NULL, timestamp BIGINT NOT NULL, run_uuid VARCHAR(32) NOT NULL,
  step BIGINT DEFAULT '0' NOT NULL, is_nan BOOLEAN DEFAULT '0' NOT NULL,
  CONSTRAINT metric_pk PRIMARY KEY ("key", timestamp, step, run_uuid, value, is_nan),
  FOREIGN KEY(run_uuid) REFERENCES runs (run_uuid), CHECK (is_nan IN (0, 1)));
CREATE TABLE "params" (
  "key" VARCHAR(250) NOT NULL, value VARCHAR(500) NOT NULL, run_uuid VARCHAR(32) NOT NULL,
  CONSTRAINT param_pk PRIMARY KEY ("key", run_uuid), FOREIGN KEY(run_uuid) REFERENCES runs (run_uuid));
CREATE INDEX index_metrics_run_uuid ON metrics (run_uuid);
CREATE INDEX index_latest_metrics_run_uuid ON latest_metrics (run_uuid);
CREATE INDEX index_tags_run_uuid ON tags (run_uuid);
CREATE INDEX index_params_run_uuid ON params (run_uuid);
INSERT INTO alembic_version VALUES ('97727af70f4d');
INSERT INTO experiments VALUES (0, 'Default', './mlruns/0', 'active', 0, 0);
)sql";

constexpr std::size_t kLongestParam = 500;  // characters that every version of MLflow reads
constexpr std::size_t kLongestTag = 5000;

std::string file_uri(const std::string& path) {
  std::string uri = "file://";
  for (const char c : path) {
    const auto byte = static_cast<unsigned char>(c);
    if (std::isalnum(byte) || std::string_view("/-_.~").find(c) != std::string_view::npos) {
      uri += c;
    } else {
      char text[4];
      std::snprintf(text, sizeof text, "%%%02X", byte);
      uri += text;
    }
  }
  return uri;
}

class RunWriter {
 public:
  RunWriter(Database& file, Store& store) : file_(file), store_(store) {
    try {
      prepare();
    } catch (const Error& error) {
      if (error.code != Exit::data) throw;
      throw Error(Exit::data, file.path() +
                                  ": not an MLflow store of version 2 or later; expected its tables "
                                  "experiments, runs, params, metrics, latest_metrics and tags; got others");
    }
  }

  std::int64_t run(const ExportedRun& run) {
    const std::string uid = run.text("uid");
    for (const char* table : {"latest_metrics", "metrics", "params", "tags", "runs"})
      file_.prepare(std::string("DELETE FROM ") + table + " WHERE run_uuid = ?1").bind(1, std::string_view(uid)).run();
    insert_run(run, uid);
    for (const ExportedParam& param : run.settings())
      text(param_, param.key, param.value.index() == 0 ? "None" : param.text(), uid, kLongestParam);
    insert_tags(run, uid);
    return insert_metrics(run, uid);
  }
  std::int64_t cuts() const { return cuts_; }

 private:
  void prepare() {
    experiment_find_ = file_.prepare("SELECT experiment_id FROM experiments WHERE name = ?1");
    experiment_ = file_.prepare(
        "INSERT INTO experiments (name, artifact_location, lifecycle_stage, creation_time, last_update_time) "
        "VALUES (?1, ?2, 'active', ?3, ?3) RETURNING experiment_id");
    run_ = file_.prepare(
        "INSERT INTO runs (run_uuid, name, source_type, source_name, entry_point_name, user_id, status, start_time, "
        "end_time, source_version, lifecycle_stage, artifact_uri, experiment_id) "
        "VALUES (?1, ?2, 'LOCAL', ?3, '', 'gradus', ?4, ?5, ?6, ?7, 'active', ?8, ?9)");
    param_ = file_.prepare("INSERT OR REPLACE INTO params (\"key\", value, run_uuid) VALUES (?1, ?2, ?3)");
    tag_ = file_.prepare("INSERT OR REPLACE INTO tags (\"key\", value, run_uuid) VALUES (?1, ?2, ?3)");
    metric_ = file_.prepare(
        "INSERT INTO metrics (\"key\", value, timestamp, run_uuid, step, is_nan) VALUES (?1, ?2, ?3, ?4, ?5, ?6)");
    latest_ = file_.prepare(
        "INSERT INTO latest_metrics (\"key\", value, timestamp, run_uuid, step, is_nan) VALUES (?1, ?2, ?3, ?4, ?5, "
        "?6)");
  }

  std::int64_t experiment(const std::string& name, std::int64_t created) {
    std::int64_t id = 0;
    if (experiment_find_.bind(1, std::string_view(name)).step()) {
      id = experiment_find_.integer(0);
      experiment_find_.reset();
      return id;
    }
    experiment_.bind(1, std::string_view(name)).bind(2, std::string_view(file_uri(store_.folder()))).bind(3, created);
    experiment_.step();
    id = experiment_.integer(0);
    experiment_.reset();
    return id;
  }

  void insert_run(const ExportedRun& run, const std::string& uid) {
    const std::string status = run.text("status");
    const char* theirs = status == "finished"  ? "FINISHED"
                         : status == "running" ? "RUNNING"
                         : status == "failed"  ? "FAILED"
                                               : "KILLED";
    const std::int64_t started = unix_milliseconds(unix_time(run.text("started")));
    const std::string name = cut(run.text("name"), 200) + "-" + std::to_string(run.id);
    run_.bind(1, std::string_view(uid)).bind(2, std::string_view(name));
    run_.bind(3, std::string_view(cut(run.text("script"), 500))).bind(4, std::string_view(theirs)).bind(5, started);
    const double ended = unix_time(run.text("ended"));
    run_.bind(6, std::isfinite(ended) ? Cell(unix_milliseconds(ended)) : Cell());
    run_.bind(7, std::string_view(cut(run.text("git_commit"), 50)));
    run_.bind(8, std::string_view(file_uri(store_.folder() + "/" + uid)));
    run_.bind(9, experiment(cut(experiment_of(store_, run), 250), started)).run();
    text(tag_, "mlflow.runName", name, uid, kLongestTag);
  }

  void insert_tags(const ExportedRun& run, const std::string& uid) {
    const auto put = [&](const char* key, const std::string& value) {
      if (!value.empty()) text(tag_, key, value, uid, kLongestTag);
    };
    put("mlflow.source.type", "LOCAL");
    put("mlflow.user", "gradus");
    put("mlflow.source.name", run.text("script"));
    put("mlflow.source.git.commit", run.text("git_commit"));
    put("mlflow.note.content", run.text("note"));
    for (const auto& row :
         store_.query("SELECT uid FROM runs WHERE id = (SELECT parent FROM runs WHERE id = ?1)", {run.id}).rows)
      put("mlflow.parentRunId", std::get<std::string>(row[0]));
    for (const char* column :
         {"name", "kind", "seed", "config_hash", "seconds", "device", "threads", "host", "command", "error"})
      put((std::string("gradus.") + column).c_str(), run.text(column));
    for (const auto& row : store_.query("SELECT name, value FROM tags WHERE run_id = ?1 ORDER BY name", {run.id}).rows)
      text(tag_, std::get<std::string>(row[0]), std::get<std::string>(row[1]), uid, kLongestTag);
  }

  std::string cut(const std::string& text, std::size_t longest) {
    if (text.size() <= longest) return text;
    ++cuts_;
    std::size_t end = longest;
    while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xc0) == 0x80) --end;  // not inside a character
    return text.substr(0, end);
  }

  void text(Statement& statement, const std::string& key, const std::string& value, const std::string& uid,
            std::size_t longest) {
    statement.bind(1, std::string_view(cut(key, 250))).bind(2, std::string_view(cut(value, longest)));
    statement.bind(3, std::string_view(uid)).run();
  }

  static void metric(Statement& statement, const std::string& key, double value, double time, const std::string& uid,
                     std::int64_t step) {
    // As MLflow itself stores what SQL cannot hold.
    constexpr double kLargest = std::numeric_limits<double>::max();
    const bool nan = std::isnan(value);
    statement.bind(1, std::string_view(key)).bind(2, nan ? 0.0 : std::clamp(value, -kLargest, kLargest));
    statement.bind(3, unix_milliseconds(time)).bind(4, std::string_view(uid)).bind(5, step).bind(6, nan ? 1 : 0).run();
  }

  std::int64_t insert_metrics(const ExportedRun& run, const std::string& uid) {
    const WallClock clock(store_, run);
    std::int64_t values = 0;
    for (const std::string& key : run.keys) {
      std::optional<std::pair<std::int64_t, double>> last;
      for_each_point(store_, run.id, key, [&](std::int64_t step, double value) {
        metric(metric_, key, value, clock.at(step), uid, step);
        last = {step, value};
        ++values;
      });
      if (last) metric(latest_, key, last->second, clock.at(last->first), uid, last->first);
    }
    return values;
  }

  Database& file_;  // borrowed
  Store& store_;    // borrowed
  Statement experiment_find_, experiment_, run_, param_, tag_, metric_, latest_;
  std::int64_t cuts_ = 0;
};

}  // namespace

Exported export_mlflow(Store& store, const std::vector<std::int64_t>& runs, const std::string& path) {
  Exported done;
  if (path.empty()) throw Error(Exit::usage, "export mlflow: expected a file name; got an empty one");
  std::error_code code;
  const bool fresh = !fs::exists(path, code);
  if (!fresh && !fs::is_regular_file(path, code))
    throw Error(Exit::data, path + ": not an MLflow store; expected a file; got something else");
  const std::string folder = fs::path(path).parent_path().string();
  if (!folder.empty()) make_folder(folder);
  // A fresh file is filled under another name, so that nobody opens half of it.
  const std::string name = fresh ? path + "." + std::to_string(::getpid()) + ".part" : path;
  try {
    Database file(name, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE);
    file.run(
        "PRAGMA cache_size = -262144");  // KiB: each row goes somewhere into three indices, which are to be at hand
    if (fresh) file.run("PRAGMA journal_mode = MEMORY; PRAGMA synchronous = OFF");
    file.run("BEGIN IMMEDIATE");
    if (fresh) file.run(kSchema);
    RunWriter writer(file, store);
    for (const std::int64_t id : runs) {
      done.values += writer.run(exported_run(store, id));
      ++done.runs;
    }
    done.cut = writer.cuts();
    file.run("COMMIT");
  } catch (...) {
    if (fresh) fs::remove(name, code);
    throw;
  }
  if (fresh && std::rename(name.c_str(), path.c_str()) != 0)
    throw Error(Exit::io, path + ": cannot write; got " + std::strerror(errno));
  return done;
}

}  // namespace gradus::results
