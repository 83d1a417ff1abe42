// Runs out of other programs' SQLite files. The file is somebody else's: opened to read only, its code (triggers,
// views, functions in its schema) not trusted, each value checked for its type and length.
#include <algorithm>
#include <cmath>
#include <filesystem>

#include "error.h"
#include "import.h"
#include "store/clock.h"
#include "store/database.h"

namespace gradus::results {

namespace fs = std::filesystem;

namespace {

constexpr int kLongestValue = 16 << 20;

class Foreign {
 public:
  Foreign(const std::string& path, const char* what, const std::vector<std::string>& tables)
      : path_(path), what_(what) {
    std::error_code code;
    const fs::file_status status = fs::status(path, code);
    if (status.type() == fs::file_type::not_found)
      throw Error(Exit::missing, path + ": no such file; expected " + what_ + "; got nothing");
    if (status.type() != fs::file_type::regular) refuse("no regular file");
    try {
      database_ = std::make_unique<Database>(path, SQLITE_OPEN_READONLY);
      sqlite3* handle = database_->handle();
      sqlite3_limit(handle, SQLITE_LIMIT_LENGTH, kLongestValue);
      sqlite3_limit(handle, SQLITE_LIMIT_ATTACHED, 0);
      sqlite3_db_config(handle, SQLITE_DBCONFIG_DEFENSIVE, 1, nullptr);
      sqlite3_db_config(handle, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, nullptr);
      sqlite3_db_config(handle, SQLITE_DBCONFIG_ENABLE_VIEW, 0, nullptr);
      database_->run("PRAGMA query_only = 1; PRAGMA cell_size_check = 1");
      Statement find = database_->prepare(
          "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = ?1 AND sql NOT LIKE 'CREATE VIRTUAL%'");
      for (const std::string& table : tables) {
        const bool there = find.bind(1, std::string_view(table)).step();
        find.reset();
        if (!there) refuse("a file without the table " + table);
      }
    } catch (const Error& error) {
      if (error.code != Exit::data || std::string_view(error.what()).find("; expected ") != std::string_view::npos)
        throw;
      refuse("a file that SQLite cannot read");
    }
  }

  bool column(const std::string& table, const std::string& name) {
    Statement find = database_->prepare("SELECT 1 FROM pragma_table_info(?1) WHERE name = ?2");
    return find.bind(1, std::string_view(table)).bind(2, std::string_view(name)).step();
  }

  // Calls `row` with each row of the answer.
  void each(const std::string& sql, const std::vector<Cell>& args, const std::function<void(Statement&)>& row) {
    try {
      Statement statement = database_->prepare(sql);
      for (std::size_t i = 0; i < args.size(); ++i) statement.bind(static_cast<int>(i) + 1, args[i]);
      while (statement.step()) row(statement);
    } catch (const Error& error) {
      if (error.code != Exit::data || std::string_view(error.what()).find("; expected ") != std::string_view::npos)
        throw;
      const std::string text = error.what();
      refuse("'" + text.substr(std::min(text.size(), path_.size() + 2)) + "'");
    }
  }

  [[noreturn]] void refuse(const std::string& got) const {
    throw Error(Exit::data, path_ + ": cannot be imported; expected " + what_ + "; got " + got);
  }

  double number(const Statement& row, int column, const char* name) const {
    const Cell cell = row.cell(column);
    if (const auto* integer = std::get_if<std::int64_t>(&cell)) return static_cast<double>(*integer);
    if (const auto* real = std::get_if<double>(&cell)) return *real;
    refuse(std::string("a ") + name + " that is no number");
  }
  std::int64_t integer(const Statement& row, int column, const char* name) const {
    const Cell cell = row.cell(column);
    if (const auto* value = std::get_if<std::int64_t>(&cell)) return *value;
    refuse(std::string("a ") + name + " that is no whole number");
  }

 private:
  std::string path_;
  std::string what_;
  std::unique_ptr<Database> database_;
};

double seconds_of(const Statement& row, int column) {  // milliseconds since 1970
  return row.null(column) ? std::numeric_limits<double>::quiet_NaN() : static_cast<double>(row.integer(column)) / 1000;
}

}  // namespace

// --- MLflow

namespace {

std::vector<ImportedRun> mlflow_runs(Foreign& file, const ImportOptions& options, Imported& done) {
  std::vector<ImportedRun> runs;
  file.each(
      "SELECT r.run_uuid, r.name, r.status, r.start_time, r.end_time, r.source_name, r.source_version, "
      "r.lifecycle_stage, e.name FROM runs r LEFT JOIN experiments e ON e.experiment_id = r.experiment_id "
      "ORDER BY r.start_time, r.run_uuid",
      {}, [&](Statement& row) {
        if (row.text(7) == "deleted") {
          ++done.skipped;
          return;
        }
        ImportedRun run;
        run.uid = run.identity = row.text(0);
        run.name = !options.name.empty() ? options.name : row.text(8).empty() ? "mlflow" : row.text(8);
        const std::string status = row.text(2);
        run.status = status == "FINISHED" ? "finished" : status == "FAILED" ? "failed" : "interrupted";
        run.started = seconds_of(row, 3);
        run.ended = seconds_of(row, 4);
        run.script = row.text(5);
        run.git_commit = row.text(6);
        run.tags.emplace_back("run_name", row.text(1));
        run.source = {{"run", row.text(0)}, {"status", status}};
        runs.push_back(std::move(run));
      });
  return runs;
}

void mlflow_fields(Foreign& file, ImportedRun& run) {
  file.each("SELECT key, value FROM params WHERE run_uuid = ?1 ORDER BY key", {run.uid},
            [&](Statement& row) { run.params.push_back(typed_param(row.text(0), row.text(1))); });
  file.each("SELECT key, value FROM tags WHERE run_uuid = ?1 ORDER BY key", {run.uid}, [&](Statement& row) {
    const std::string key = row.text(0);
    if (key == "mlflow.note.content") run.note = row.text(1);
    if (key == "mlflow.source.git.commit" && run.git_commit.empty()) run.git_commit = row.text(1);
    if (key == "mlflow.parentRunId") run.parent = row.text(1);
    if (!key.starts_with("mlflow.") || key == "mlflow.parentRunId") run.tags.emplace_back(key, row.text(1));
  });
}

}  // namespace

Imported import_mlflow(Store& store, const std::string& path, const ImportOptions& options) {
  Imported done;
  Importer importer(store, "mlflow", done);
  Foreign file(path, "an MLflow store (SQLite)", {"experiments", "runs", "params", "metrics", "tags"});
  file.each("SELECT DISTINCT key FROM metrics", {}, [&](Statement& row) { importer.know(row.text(0)); });
  std::vector<ImportedRun> runs = mlflow_runs(file, options, done);
  for (ImportedRun& run : runs) {
    mlflow_fields(file, run);
    run.fallback = changed_at(path);
    run.source["file"] = fs::absolute(path).lexically_normal().string();
    importer.add(run, [&](const PointSink& point) {
      file.each(
          "SELECT key, step, timestamp, value, is_nan FROM metrics WHERE run_uuid = ?1 ORDER BY key, step, timestamp, "
          "rowid",
          {run.identity}, [&](Statement& row) {
            const double value =
                row.integer(4) != 0 ? std::numeric_limits<double>::quiet_NaN() : file.number(row, 3, "metric's value");
            constexpr double kLargest = std::numeric_limits<double>::max();  // what MLflow makes of infinity
            point(row.text(0), file.integer(row, 1, "step"), seconds_of(row, 2),
                  std::fabs(value) == kLargest ? value * 2 : value);
          });
    });
  }
  for (const ImportedRun& run : runs) {
    if (!run.parent.empty()) importer.set_parent(run.identity, run.parent);
  }
  return done;
}

// --- Trackio

namespace {

// What stands in a configuration as dotted parameters; Trackio's own entries begin with an underscore.
void flatten(const Json& value, const std::string& name, int depth, std::vector<Param>& params) {
  if (value.is_object() && depth < 20) {
    for (const auto& [key, inner] : value.items()) {
      if (depth > 0 || !key.starts_with('_')) flatten(inner, name.empty() ? key : name + "." + key, depth + 1, params);
    }
    return;
  }
  if (value.is_null())
    params.push_back({name, std::monostate()});
  else if (value.is_boolean())
    params.push_back({name, value.get<bool>()});
  else if (value.is_number_integer() && (!value.is_number_unsigned() || value.get<std::uint64_t>() <= INT64_MAX))
    params.push_back({name, value.get<std::int64_t>()});
  else if (value.is_number())
    params.push_back({name, value.get<double>()});
  else if (value.is_string())
    params.push_back({name, value.get<std::string>()});
  else
    params.push_back({name, dump(value)});
}

Json parsed(const Foreign& file, const std::string& text, const char* what) {
  Json json = Json::parse(text, nullptr, false);
  if (!json.is_object()) file.refuse(std::string("a ") + what + " that is no JSON object");
  return json;
}

std::optional<double> scalar(const Json& value) {
  if (value.is_number()) return value.get<double>();
  if (value.is_boolean()) return value.get<bool>() ? 1 : 0;
  if (value == "NaN") return std::numeric_limits<double>::quiet_NaN();
  if (value == "Infinity") return std::numeric_limits<double>::infinity();
  if (value == "-Infinity") return -std::numeric_limits<double>::infinity();
  return {};
}

}  // namespace

Imported import_trackio(Store& store, const std::string& path, const ImportOptions& options) {
  Imported done;
  Importer importer(store, "trackio", done);
  Foreign file(path, "a Trackio project (SQLite)", {"metrics"});
  const std::string project = fs::path(path).stem().string();
  // Older versions know a run by its name only.
  const std::string id = file.column("metrics", "run_id") ? "run_id" : "run_name";
  std::vector<ImportedRun> runs;
  file.each("SELECT " + id + ", min(run_name), min(id) FROM metrics GROUP BY " + id + " ORDER BY min(id)", {},
            [&](Statement& row) {
              ImportedRun run;
              run.identity = project + '\0' + row.text(0);
              run.name = !options.name.empty() ? options.name : project;
              run.tags.emplace_back("run_name", row.text(1));
              run.source = {{"file", fs::absolute(path).lexically_normal().string()}, {"run", row.text(0)}};
              runs.push_back(std::move(run));
            });
  file.each("SELECT DISTINCT j.key FROM metrics m, json_each(m.metrics) j WHERE json_valid(m.metrics)", {},
            [&](Statement& row) { importer.know(row.text(0)); });
  const std::string configs = file.column("configs", "run_id") ? "run_id" : "run_name";
  for (ImportedRun& run : runs) {
    const std::vector<Cell> which = {run.source["run"].get<std::string>()};
    if (file.column("configs", "config")) {
      file.each("SELECT config FROM configs WHERE " + configs + " = ?1", which, [&](Statement& row) {
        const Json config = parsed(file, row.text(0), "configuration");
        flatten(config, "", 0, run.params);
        if (config.contains("_Group") && config["_Group"].is_string()) run.tags.emplace_back("group", config["_Group"]);
      });
    }
    run.fallback = changed_at(path);
    bool counted = false;
    importer.add(run, [&](const PointSink& point) {
      file.each("SELECT step, timestamp, metrics FROM metrics WHERE " + id + " = ?1 ORDER BY id", which,
                [&](Statement& row) {
                  const double time = unix_time(row.text(1));
                  const std::int64_t step = file.integer(row, 0, "step");
                  const Json metrics = parsed(file, row.text(2), "row of metrics");
                  for (const auto& [key, value] : metrics.items()) {
                    const std::optional<double> number = scalar(value);
                    if (number)
                      point(key, step, time, *number);
                    else
                      done.skipped += !counted;
                  }
                });
      counted = true;
    });
  }
  return done;
}

}  // namespace gradus::results
