#include "csv_labels.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <utility>

#include "csv_cells.h"
#include "csv_rows.h"
#include "file.h"

namespace gradus::csv {

LabelColumn::LabelColumn(std::string file, const CsvOptions& options)
    : file_(std::move(file)), options_(options), kind_(options.labels) {}

void LabelColumn::check_options() {
  if (kind_ != "auto" && kind_ != "class" && kind_ != "value")
    throw data_error(file_, "unknown labels", "'auto', 'class' or 'value'", show(kind_));
  if (options_.classes.empty()) return;
  if (kind_ == "value") throw data_error(file_, "classes of values", "labels 'class'", "'value'");
  kind_ = "class";
}

bool LabelColumn::is_class(const std::string& text) const {
  return std::find(options_.classes.begin(), options_.classes.end(), text) != options_.classes.end();
}

void LabelColumn::take(const std::string& text, const std::string* column, const std::function<std::string()>& where) {
  unlabelled_.push_back(options_.keep_unlabelled && is_missing(text) && !is_class(text));
  if (unlabelled_.back()) return;
  if (text.empty()) throw data_error(where(), "empty label", "a label (or missing = 'drop' or 'unlabelled')", "''");
  if (options_.classes.empty() && is_no_label(text)) {
    throw data_error(where(), "missing label", "a label (or missing = 'drop' or 'unlabelled', or classes that name it)",
                     show(text));
  }
  double value = 0;
  const bool first = numbers_.empty();  // of texts kind_ says it already
  if (kind_ == "auto" && first && to_number(text, &value) == Number::no) kind_ = "class";
  if (kind_ != "class") return take_number(text, column, where);
  if (!options_.classes.empty() && !is_class(text)) {
    throw data_error(where(), "unknown class",
                     "one of the " + std::to_string(options_.classes.size()) + " given classes", show(text));
  }
  texts_.push_back(text);
}

void LabelColumn::take_number(const std::string& text, const std::string* column,
                              const std::function<std::string()>& where) {
  double value = 0;
  const Number kind = to_number(text, &value);
  if (kind == Number::no) {
    throw data_error(where(), kind_ == "auto" ? "label is not a number, but those above are" : "label is not a number",
                     "a number (or labels = 'classes')", show(text));
  }
  if (kind != Number::fine) {
    const auto [what, expected] = diagnose(kind, text, column);
    throw data_error(where(), what, expected, show(text));
  }
  whole_ = whole_ && value == std::floor(value) && std::abs(value) < 9007199254740992.0;
  numbers_.push_back(value);
}

void LabelColumn::finish(Csv& csv, int64_t rows) const {
  find_unlabelled(csv, rows);
  if (kind_ == "class") {
    csv.classes = options_.classes;
    if (csv.classes.empty()) {
      csv.classes = texts_;
      std::sort(csv.classes.begin(), csv.classes.end());
      csv.classes.erase(std::unique(csv.classes.begin(), csv.classes.end()), csv.classes.end());
    }
    std::map<std::string, int64_t> positions;
    for (size_t i = 0; i < csv.classes.size(); ++i) positions.emplace(csv.classes[i], static_cast<int64_t>(i));
    csv.y = at::empty({static_cast<int64_t>(texts_.size())}, at::kLong);
    std::transform(texts_.begin(), texts_.end(), csv.y.mutable_data_ptr<int64_t>(),
                   [&](const std::string& text) { return positions.at(text); });
    return;
  }
  const bool whole = kind_ == "auto" && whole_;
  csv.y = at::empty({static_cast<int64_t>(numbers_.size())}, whole ? at::kLong : at::kFloat);
  if (whole) {
    std::copy(numbers_.begin(), numbers_.end(), csv.y.mutable_data_ptr<int64_t>());
  } else {
    std::copy(numbers_.begin(), numbers_.end(), csv.y.mutable_data_ptr<float>());
  }
}

void LabelColumn::find_unlabelled(Csv& csv, int64_t rows) const {
  const auto without = std::count(unlabelled_.begin(), unlabelled_.end(), true);
  if (without == 0) return;
  if (without == rows && options_.classes.empty())
    throw data_error(file_, "no row has a label", "classes = { … }, or a file without a label column", "none");
  csv.unlabelled = at::empty({rows}, at::kBool);
  std::copy(unlabelled_.begin(), unlabelled_.end(), csv.unlabelled.mutable_data_ptr<bool>());
}

}  // namespace gradus::csv
