// Other tools' runs as runs of kind 'import', with curves, parameters and times, so that every command works on them.
//
// A run's uid is the hash of what identifies it in its source, so importing twice doubles nothing: a run that has not
// changed is left alone, one that has is replaced (the user's own notes and tags stay). Metric names that are keys
// ([A-Za-z0-9_./-]{1,200}) are kept. Others are changed, never to a name that another metric of the source or the store
// has: "val acc" becomes val_acc, or val_acc-HASH where there is a val_acc; letters that are not ASCII become u and
// their code point. What was renamed stands in the detail of the run's event of kind 'import', with the source. Sources
// are read in bounded memory and checked in full before the first row is written. Errors: missing (no such source),
// data (damaged, or something else), io.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "imported_rows.h"
#include "key_names.h"
#include "query/query.h"
#include "store/database.h"
#include "store/store.h"

namespace gradus::results {

struct ImportOptions {
  std::string name =
      {};  // of the runs in the store; empty: the folder (TensorBoard), experiment (MLflow) or project (Trackio)
  bool partial = false;  // TensorBoard: takes what is before the damage instead of refusing the file
};
struct Imported {
  std::int64_t added = 0, updated = 0, unchanged = 0, values = 0, children = 0, empty = 0;  // empty: nothing in them
  std::int64_t replaced = 0;  // of the values: by a later one of the same metric and step
  std::int64_t numbered = 0;  // metrics of a run that were logged several times without a step: 0, 1, 2, … as they came
  std::int64_t skipped = 0;  // values that are no scalars: images, histograms, texts; runs that were deleted there
};

// Every folder under `path` with event files is a run; `path` may be one such file.
Imported import_tensorboard(Store& store, const std::string& path, const ImportOptions& options);
Imported import_mlflow(Store& store, const std::string& path, const ImportOptions& options);
Imported import_trackio(Store& store, const std::string& path, const ImportOptions& options);

// --- for the sources

using PointSink = std::function<void(const std::string& metric, std::int64_t step, double wall_time, double value)>;

class Importer {
 public:
  Importer(Store& store, std::string tool, Imported& done)
      : mine_(FileLock::of_who_takes_runs(store.folder())),
        store_(store),
        tool_(std::move(tool)),
        done_(done),
        names_(store) {}
  void know(const std::string& metric) { names_.know(metric); }  // every metric of the source, before the first add()
  // Calls `points` twice, first to check and to compare, then to write; a point given twice: the last wins. The first
  // call may still fill in `run`.
  void add(ImportedRun& run, const std::function<void(const PointSink&)>& points);
  // Both are identities of runs of the source; one that is not in the store changes nothing.
  void set_parent(const std::string& child, const std::string& parent);

 private:
  std::string uid_of(const std::string& identity) const;

  FileLock mine_;
  Store& store_;  // borrowed
  std::string tool_;
  Imported& done_;  // borrowed
  KeyNames names_;
};

double changed_at(const std::string& path);  // of a file, in Unix seconds; NaN: there is none
// Text as the parameter it was before somebody made a text of it: 3, 0.1, true, None, else text.
Param typed_param(std::string key, const std::string& text);

}  // namespace gradus::results
