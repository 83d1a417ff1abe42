// MLflow's SQLite store: experiments, runs, params, metrics, latest_metrics and tags as
// mlflow/store/tracking/dbmodels/models.py has them.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "export.h"

namespace gradus::results {

// Adds the runs to FILE, which is made where it is missing; a run that is already there is replaced. Run names become
// experiments, a run's uid is its MLflow run id, its folder the place of its artifacts.
//
// A fresh file has the tables of MLflow 2.0 (revision 97727af70f4d). MLflow 2.3 and later bring them up to date when
// they open the file, which a file of their own newest revision would not allow older ones to do.
// Errors: data (a file of something else), io.
Exported export_mlflow(Store& store, const std::vector<std::int64_t>& runs, const std::string& path);

}  // namespace gradus::results
