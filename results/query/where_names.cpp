#include "where_names.h"

#include <algorithm>

#include "names.h"
#include "scanner.h"

namespace gradus::results::where {
namespace {

constexpr Column kColumns[] = {
    {"id", Type::number},
    {"uid", Type::text},
    {"name", Type::text},
    {"kind", Type::text},
    {"status", Type::text},
    {"seed", Type::number},
    {"config_hash", Type::text},
    {"started", Type::text},
    {"ended", Type::text},
    {"seconds", Type::number},
    {"parent", Type::number},
    {"host", Type::text},
    {"device", Type::text},
    {"threads", Type::number},
    {"git_commit", Type::text},
    {"git_dirty", Type::number},
    {"script", Type::text},
    {"command", Type::text},
    {"error", Type::text},
    {"note", Type::text},
    {"archived", Type::text},
    {"step", Type::number, "(SELECT p.step FROM progress p WHERE p.run_id = r.id ORDER BY p.step DESC LIMIT 1)"},
    {"epoch", Type::number, "(SELECT p.epoch FROM progress p WHERE p.run_id = r.id ORDER BY p.step DESC LIMIT 1)"},
    {"samples", Type::number, "(SELECT p.samples FROM progress p WHERE p.run_id = r.id ORDER BY p.step DESC LIMIT 1)"},
    {"flops", Type::number, "(SELECT p.flops FROM progress p WHERE p.run_id = r.id ORDER BY p.step DESC LIMIT 1)"},
    {"origin", Type::number, "(SELECT f.origin FROM forks f WHERE f.run_id = r.id)"},
};
const std::vector<std::string> kFunctions = {"last",  "best", "min",   "max", "argmin", "argmax",
                                             "count", "nans", "first", "auc", "at"};

bool has(const std::vector<std::string>& words, const std::string& word) {
  return std::find(words.begin(), words.end(), word) != words.end();
}

// "best(val/acc)" for best/val/acc, val/acc.best, best:val/acc, best val/acc; of a function alone "best(METRIC)".
std::string meant_call(const std::string& key, const std::string& wide, std::string_view rest,
                       const std::vector<std::string>& metrics) {
  constexpr std::string_view kBetween = "/.:_- ";
  const auto between = [&](char c) { return kBetween.find(c) != kBetween.npos; };
  for (const std::string& function : kFunctions) {
    const std::size_t length = function.size();
    if (rest.starts_with(function) && rest.size() > length + 1 && between(rest[length])) {
      std::string_view after = rest.substr(length + 1);
      after = after.substr(0, std::find_if_not(after.begin(), after.end(), Scanner::metric_char) - after.begin());
      if (const std::string metric = metric_meant(std::string(after), metrics); !metric.empty())
        return function + "(" + metric + ")";
    }
    if (wide.ends_with(function) && wide.size() > length + 1 && between(wide[wide.size() - length - 1])) {
      const std::string metric = metric_meant(wide.substr(0, wide.size() - length - 1), metrics);
      if (!metric.empty()) return function + "(" + metric + ")";
    }
  }
  if (!has(kFunctions, key)) return "";
  return key + "(METRIC), such as " + key + "(" + (metrics.empty() ? "val/acc" : metrics.back()) + ")";
}

}  // namespace

const Column* find_column(const std::string& name) {
  for (const Column& column : kColumns) {
    if (name == column.name) return &column;
  }
  return nullptr;
}

bool is_param(Store& store, const std::string& key) {
  return !store.query("SELECT 1 FROM params WHERE key = ?1 LIMIT 1", {key}).rows.empty();
}

bool is_function(const std::string& word) { return has(kFunctions, word); }

bool gives_value(const std::string& function) {
  static const std::vector<std::string> kValues = {"last", "best", "min", "max", "first", "at", "auc"};
  return has(kValues, function);
}

std::string metric_meant(const std::string& word, const std::vector<std::string>& metrics) {
  return has(metrics, word) ? word : loosely(word, metrics);
}

std::string unknown_name(Store& store, const std::string& key, const std::string& wide, std::string_view rest,
                         bool column) {
  const std::vector<std::string> metrics = metric_names(store);
  if (const std::string metric = metric_meant(wide, metrics); !metric.empty()) {
    return "'" + wide + "' is a metric; expected which of its values: last(" + metric + "), best(" + metric + "), at(" +
           metric + ", STEP), …";
  }
  if (const std::string meant = meant_call(key, wide, rest, metrics); !meant.empty())
    return "'" + wide + "' is no name; did you mean " + meant + "?";
  if (const std::string knob = "knob/" + wide; has(metrics, knob))
    return "'" + wide + "' is no parameter of a run, but what its steps were given: expected last(" + knob + ")";
  std::vector<std::string> known = param_names(store);
  for (const Column& one : kColumns) known.emplace_back(one.name);
  if (column) known.insert(known.end(), metrics.begin(), metrics.end());
  const std::string& word = column ? wide : key;
  const std::string near = nearest(word, known);
  return "unknown name '" + word + "'" + (near.empty() ? "" : " (did you mean '" + near + "'?)") +
         "; expected a column of runs, a parameter, or a " + (column ? "metric" : "text in quotes");
}

}  // namespace gradus::results::where
