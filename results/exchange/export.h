// Runs as other tools' files: which runs, and the streams of CSV and JSON. tensorboard.h and mlflow.h write those
// formats.
#pragma once

#include <cstdint>
#include <cstdio>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "query/query.h"
#include "store/store.h"

namespace gradus::results {

// The ids of the named runs (id, uid prefix, @last), or of all that fit the filter. Error (missing) when none does.
std::vector<std::int64_t> select_runs(Store& store, const std::vector<std::string>& runs, const RunFilter& filter);

struct ExportedParam {
  std::string key;
  Cell value;
  std::string type;          // of the params table
  std::string text() const;  // true and false for booleans, numbers in the fewest digits that read back as the same
};

// One run without its curves.
struct ExportedRun {
  std::int64_t id = 0;
  std::vector<std::pair<std::string, Cell>> columns;  // all of the runs table, in its order
  std::vector<ExportedParam> params;
  std::vector<std::string> keys;  // of its metrics

  std::string text(const std::string& column) const;  // "" for NULL and for a column that there is not
  std::string group() const;                          // its name and a short hash: the same for repetitions
};
ExportedRun exported_run(Store& store, std::int64_t id);
// The name that runs are grouped under: a child's is its first ancestor's.
std::string experiment_of(Store& store, const ExportedRun& run);
std::string file_name(const std::string& text);  // the text as a part of a path, at most 100 bytes
struct ExportedEvent {
  Cell step;
  std::string time, kind, name, detail;  // detail: JSON or ""
};
std::vector<ExportedEvent> read_events(Store& store, std::int64_t run);  // in their order
// The points of a curve in their order. `point` is called while no statement is open: whoever takes the output may be
// slow, and a reading transaction may not last.
void for_each_point(Store& store, std::int64_t run, const std::string& key,
                    const std::function<void(std::int64_t step, double value)>& point);
void make_folder(const std::string& folder);  // with its parents; Error (io)

// When a run was at a step, in Unix seconds: its start plus the seconds of its progress, linear in between.
class WallClock {
 public:
  WallClock(Store& store, const ExportedRun& run);
  double at(std::int64_t step) const;

 private:
  double started_ = 0;
  std::vector<std::pair<std::int64_t, double>> seconds_;  // ascending
};

// A file that appears whole or not at all, a device, or standard output. Errors (io).
class OutputFile {
 public:
  explicit OutputFile(const std::string& path);  // "" or "-": standard output
  ~OutputFile();                                 // without finish(): leaves nothing behind
  OutputFile(const OutputFile&) = delete;
  OutputFile& operator=(const OutputFile&) = delete;
  void write(std::string_view bytes);
  void finish();

 private:
  [[noreturn]] void fail(const char* what) const;
  std::string path_, temporary_;
  std::FILE* file_ = nullptr;  // owned unless stdout
};

std::string exact(double value);  // the fewest digits that read back as the same double; nan, inf, -inf

// CSV as in RFC 4180 with a header line. To a folder: runs, params, metrics, progress and events, each as NAME.csv;
// to a file or standard output: the metrics. Columns: id,uid,name,key,step,value.
struct Exported {
  std::int64_t runs = 0, values = 0;
};
struct CsvOptions {
  std::vector<std::string> metrics = {};  // only these; empty: all
  int points = 0;                         // about so many of each curve at most, extremes kept (downsample.h); 0: all
};
// Error (usage): a metric that no run has.
Exported export_csv(Store& store, const std::vector<std::int64_t>& runs, const std::string& path,
                    const CsvOptions& options = {});
bool names_folder(const std::string& path);  // exists as one, ends with a slash, or has no extension
// {"runs": [{every column of runs, params: {key: value}, metrics: {key: [[step, value], …]}, progress: [{step, epoch,
// samples, flops, seconds}], events: [{step, time, kind, name, detail}]}]}. Not a number is null, infinities are texts.
Exported export_json(Store& store, const std::vector<std::int64_t>& runs, const std::string& path);

}  // namespace gradus::results
