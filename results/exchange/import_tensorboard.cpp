#include <sys/stat.h>

#include <algorithm>
#include <filesystem>

#include "error.h"
#include "import.h"
#include "tensorboard.h"

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
  for (const auto& [folder, files] : event_files(path)) {
    ImportedRun run;
    const std::string base = fs::path(folder).filename().string();
    const std::string relative = fs::path(folder).lexically_relative(fs::absolute(path).lexically_normal()).string();
    const bool inside = !relative.empty() && relative != "." && !relative.starts_with("..");
    run.name = !options.name.empty() ? options.name : inside ? relative : base.empty() ? "import" : base;
    run.identity =
        base + '\0' + fs::path(files.front()).filename().string() + '\0' + first_record(files.front(), options.partial);
    run.source = {{"folder", folder}};
    if (!options.name.empty()) run.tags.emplace_back("run_name", inside ? relative : base);
    bool counted = false;
    importer.add(run, [&, &files = files](const PointSink& point) {
      EventSink sink;
      std::map<std::string, Json> hyperparameters;
      sink.scalar = point;
      sink.hyperparameter = [&](const std::string& name, const Json& value) { hyperparameters[name] = value; };
      for (const std::string& file : files) read_file(file, options.partial, sink);
      run.params.clear();
      for (const auto& [name, value] : hyperparameters) run.params.push_back(param_of(name, value));
      if (!counted) done.skipped += sink.skipped;
      counted = true;
    });
  }
  return done;
}

}  // namespace gradus::results
