#include <algorithm>
#include <cmath>
#include <filesystem>
#include <set>

#include "error.h"
#include "import.h"
#include "tensorboard_events.h"
#include "tensorboard_records.h"

namespace gradus::results {

namespace fs = std::filesystem;

namespace {

using Folders = std::map<std::string, std::vector<std::string>>;  // folder → its event files, in TensorBoard's order

Folders event_files(const std::string& path) {
  Folders folders;
  std::error_code code;
  const fs::file_status status = fs::status(path, code);
  if (status.type() == fs::file_type::not_found)
    throw Error(Exit::missing, path + ": no such folder; expected one with TensorBoard's event files; got nothing");
  const auto add = [&](const fs::path& file) {
    folders[fs::absolute(file).lexically_normal().parent_path().string()].push_back(file.string());
  };
  if (status.type() == fs::file_type::regular) {
    add(path);
    return folders;
  }
  if (status.type() != fs::file_type::directory)
    throw Error(Exit::data, path + ": expected a folder or an event file; got neither");
  for (fs::recursive_directory_iterator it(path, code), end; !code && it != end; it.increment(code)) {
    if (it->is_regular_file(code) && it->path().filename().string().find("tfevents") != std::string::npos)
      add(it->path());
  }
  if (code) throw Error(Exit::io, path + ": cannot look through the folder; got " + code.message());
  if (folders.empty())
    throw Error(Exit::missing, path + ": no runs; expected files with 'tfevents' in their names; got none");
  for (auto& [folder, files] : folders) std::sort(files.begin(), files.end());
  return folders;
}

// Calls the sink with what the file says. `partial`: up to the damage.
void read_file(const std::string& path, bool partial, EventSink& sink) {
  RecordReader records(path);
  EventReader events(sink);
  std::string record;
  try {
    while (records.next(record)) {
      try {
        events.event(record);
      } catch (const Error& error) {
        throw Error(error.code, path + ": damaged event file; " + error.what());
      }
    }
  } catch (const Error& error) {
    if (error.code != Exit::data) throw;
    if (!partial) throw Error(Exit::data, std::string(error.what()) + "; --partial takes what is before it");
  }
}

// The first record of a file is written once and holds the microsecond of its making.
std::string first_record(const std::string& path, bool partial) {
  std::string record;
  try {
    RecordReader(path).next(record);
  } catch (const Error& error) {
    if (error.code != Exit::data || !partial) throw;
  }
  return record;
}

// Which of a folder's scalars are void: those that a crashed session wrote from the step on at which a later session
// began. That is what TensorBoard's own reader leaves out.
class Sessions {
 public:
  void restart(std::int64_t step) { restarts_.emplace_back(scalars_, step); }
  void scalar() { ++scalars_; }
  bool empty() const { return scalars_ == 0; }

  // For one reading of the scalars in the same order: whether the next one counts.
  class Filter {
   public:
    explicit Filter(const Sessions& sessions) : least_(sessions.least()), restarts_(sessions.restarts_) {}
    bool next(std::int64_t step) {
      while (passed_ < restarts_.size() && restarts_[passed_].first <= at_) ++passed_;
      ++at_;
      return passed_ == restarts_.size() || step < least_[passed_];
    }

   private:
    std::vector<std::int64_t> least_;  // of the restarts from each one on
    std::vector<std::pair<std::int64_t, std::int64_t>> restarts_;
    std::size_t passed_ = 0;
    std::int64_t at_ = 0;
  };

 private:
  std::vector<std::int64_t> least() const {
    std::vector<std::int64_t> steps(restarts_.size());
    std::int64_t least = std::numeric_limits<std::int64_t>::max();
    for (std::size_t i = restarts_.size(); i-- > 0;) steps[i] = least = std::min(least, restarts_[i].second);
    return steps;
  }
  std::int64_t scalars_ = 0;
  std::vector<std::pair<std::int64_t, std::int64_t>> restarts_;  // after how many scalars, at which step
};

struct Folder {
  Sessions sessions;
  std::map<std::string, Json> hyperparameters;
  double first_time = std::numeric_limits<double>::quiet_NaN();
  std::int64_t skipped = 0;
};

// What has to be known of a folder, and of all metrics' names, before its first row is written.
Folder look_through(const std::vector<std::string>& files, bool partial, Importer& importer) {
  Folder folder;
  std::set<std::string> tags;  // of this folder: the importer's list is long
  EventSink sink;
  sink.scalar = [&](const std::string& tag, std::int64_t, double, double) {
    folder.sessions.scalar();
    if (tags.insert(tag).second) importer.know(tag);
  };
  sink.hyperparameter = [&](const std::string& name, const Json& value) { folder.hyperparameters[name] = value; };
  sink.restart = [&](std::int64_t step) { folder.sessions.restart(step); };
  for (const std::string& file : files) read_file(file, partial, sink);
  folder.first_time = std::isfinite(sink.first_time) ? sink.first_time : changed_at(files.front());
  folder.skipped = sink.skipped;
  return folder;
}

Param param_of(const std::string& name, const Json& value) {
  if (value.is_boolean()) return {name, value.get<bool>()};
  if (value.is_string()) return {name, value.get<std::string>()};
  if (!value.is_number()) return {name, std::monostate()};
  const double number = value.get<double>();
  // The format has doubles only; a whole one was most likely an integer.
  if (std::trunc(number) == number && std::fabs(number) < 9007199254740992.0)
    return {name, static_cast<std::int64_t>(number)};
  return {name, number};
}

}  // namespace

Imported import_tensorboard(Store& store, const std::string& path, const ImportOptions& options) {
  Imported done;
  Importer importer(store, "tensorboard", done);
  const Folders folders = event_files(path);
  std::map<std::string, Folder> known;
  for (const auto& [folder, files] : folders) known[folder] = look_through(files, options.partial, importer);
  for (const auto& [folder, files] : folders) {
    const Folder& found = known[folder];
    if (found.sessions.empty() && found.hyperparameters.empty()) {
      ++done.empty;
      continue;
    }
    done.skipped += found.skipped;
    ImportedRun run;
    const std::string base = fs::path(folder).filename().string();
    const std::string relative = fs::path(folder).lexically_relative(fs::absolute(path).lexically_normal()).string();
    const bool inside = !relative.empty() && relative != "." && !relative.starts_with("..");
    run.name = !options.name.empty() ? options.name : inside ? relative : base.empty() ? "import" : base;
    run.identity =
        base + '\0' + fs::path(files.front()).filename().string() + '\0' + first_record(files.front(), options.partial);
    run.source = {{"folder", folder}};
    run.fallback = found.first_time;
    for (const auto& [name, value] : found.hyperparameters) run.params.push_back(param_of(name, value));
    if (!options.name.empty()) run.tags.emplace_back("run_name", inside ? relative : base);
    importer.add(run, [&, &files = files](const PointSink& point) {
      Sessions::Filter filter(found.sessions);
      EventSink sink;
      sink.scalar = [&](const std::string& tag, std::int64_t step, double time, double value) {
        if (filter.next(step)) point(tag, step, time, value);
      };
      sink.hyperparameter = [](const std::string&, const Json&) {};
      for (const std::string& file : files) read_file(file, options.partial, sink);
    });
  }
  return done;
}

}  // namespace gradus::results
