#include "csv.h"

#include <algorithm>
#include <cstring>

#include "csv_cells.h"
#include "csv_labels.h"
#include "csv_rows.h"
#include "file.h"

namespace gradus {

using namespace csv;

namespace {

class CsvReader {
 public:
  CsvReader(std::string_view text, const std::string& name, const CsvOptions& options)
      : rows_(text, name, options.delimiter), name_(name), options_(options), labels_(name, options) {}

  Csv read() {
    check_options();
    labels_.check_options();
    if (!rows_.next()) throw data_error(name_, "empty file", "rows of numbers", "none");
    width_ = rows_.count();
    if (options_.label_index) find_label();
    roles_.assign(width_, Role::feature);
    if (is_header()) {
      for (size_t i = 0; i < width_; ++i) names_.push_back(rows_.field(i));
      if (options_.label) find_label();
      for (const std::string& name : options_.skip) role(name, "skip") = Role::skipped;
      for (const std::string& name : options_.categories) role(name, "categories") = Role::category;
      if (!rows_.next()) throw data_error(rows_.where(), "no data under the header", "rows of numbers", "none");
    } else if (options_.label) {
      throw data_error(rows_.where(), "label " + show(*options_.label) + " needs a header",
                       "column names in the first row", "numbers");
    } else if (!options_.skip.empty() || !options_.categories.empty()) {
      throw data_error(rows_.where(), "skip and categories need a header", "column names in the first row", "numbers");
    }
    if (label_ >= 0) roles_[label_] = Role::label;
    for (size_t i = 0; i < width_; ++i) {
      if (roles_[i] == Role::feature || roles_[i] == Role::category) features_.push_back(i);
    }
    if (features_.empty()) throw data_error(name_, "no feature columns", "columns beside the label", "none");
    words_.resize(width_);
    do take_row();
    while (rows_.next());
    return finish();
  }

 private:
  enum class Role { feature, label, skipped, category };

  void check_options() {
    const auto refuse = [&](const std::string& text) { throw Error(Exit::data, name_ + ": " + text); };
    if (options_.label && options_.label_index) refuse("two label columns; expected a name or an index; got both");
    if (std::strchr("\"\r\n0123456789.+-", options_.delimiter))
      refuse(std::string("unusable delimiter; expected one like ',' ';' or a tab; got '") + options_.delimiter + "'");
  }

  std::string column(size_t i) const {
    return "column " + std::to_string(i + 1) +
           (i < names_.size() && !names_[i].empty() ? " (" + show(names_[i]) + ")" : "");
  }

  void find_label() {
    if (options_.label_index) {
      const auto width = static_cast<int64_t>(width_);
      label_ = *options_.label_index < 0 ? *options_.label_index + width : *options_.label_index;
      if (label_ >= 0 && label_ < width) return;
      throw data_error(rows_.where(), "no such label column",
                       "an index from " + std::to_string(-width) + " to " + std::to_string(width - 1),
                       std::to_string(*options_.label_index));
    }
    const auto count = std::count(names_.begin(), names_.end(), *options_.label);
    if (count == 1) {
      label_ = std::find(names_.begin(), names_.end(), *options_.label) - names_.begin();
      return;
    }
    throw data_error(rows_.where(), count ? "label column is named twice" : "no such label column",
                     "one of: " + list_of_names(), show(*options_.label));
  }

  std::string list_of_names() const {
    std::string names;
    for (size_t i = 0; i < names_.size() && names.size() < 200; ++i) names += (i ? ", " : "") + names_[i];
    return names;
  }

  Role& role(const std::string& name, const char* option) {
    const auto place = std::find(names_.begin(), names_.end(), name);
    if (place == names_.end()) {
      throw data_error(rows_.where(), std::string(option) + ": no such column", "one of: " + list_of_names(),
                       show(name));
    }
    if (place - names_.begin() == label_)
      throw data_error(rows_.where(), std::string(option) + " names the label", "a feature", show(name));
    return roles_[place - names_.begin()];
  }

  // A row that has a name which the caller knows is a header.
  bool has_known_name() const {
    const auto in_row = [this](const std::string& name) {
      for (size_t i = 0; i < width_; ++i) {
        if (rows_.field(i) == name) return true;
      }
      return false;
    };
    return (options_.label && in_row(*options_.label)) ||
           std::any_of(options_.skip.begin(), options_.skip.end(), in_row) ||
           std::any_of(options_.categories.begin(), options_.categories.end(), in_row);
  }

  bool is_header() {
    if (options_.header) return *options_.header;
    if (has_known_name()) return true;
    size_t numbers = 0, features = 0, text = 0;
    for (size_t i = 0; i < width_; ++i) {
      if (static_cast<int64_t>(i) == label_) continue;
      double ignored;
      const bool number = to_number(rows_.field(i), &ignored) != Number::no;
      ++features;
      numbers += number;
      if (!number) text = i;
    }
    if (numbers == features) return false;
    if (numbers == 0) return true;
    throw data_error(rows_.where() + ", " + column(text), "first row is neither names nor numbers",
                     "all names or all numbers (or say header = true or false; label = … if this is the label)",
                     show(rows_.field(text)));
  }

  void take_row() {
    if (rows_.count() != width_) {
      const bool other = width_ == 1 || rows_.count() == 1;
      throw data_error(rows_.where(), "ragged row",
                       std::to_string(width_) + " columns" + (other ? " (is the delimiter right?)" : ""),
                       std::to_string(rows_.count()));
    }
    if (options_.drop_missing && misses_something()) {
      ++dropped_;
      return;
    }
    for (const size_t i : features_) {
      const bool word = roles_[i] == Role::category;
      if (word && rows_.field(i).empty())
        throw data_error(rows_.where() + ", " + column(i), "empty cell", "a word (or missing = 'drop')", "''");
      values_.push_back(word ? place_of(rows_.field(i), i) : static_cast<float>(number(rows_.field(i), i)));
    }
    if (label_ >= 0) take_label();
    ++count_;
  }

  bool misses_something() const {
    for (size_t i = 0; i < width_; ++i) {
      if (static_cast<int64_t>(i) == label_ && options_.keep_unlabelled) continue;
      if (roles_[i] != Role::skipped && is_missing(rows_.field(i))) return true;
    }
    return false;
  }

  // The word's place among those of the column, in the order in which they are met.
  float place_of(const std::string& word, size_t i) {
    return static_cast<float>(words_[i].emplace(word, words_[i].size()).first->second);
  }

  double number(const std::string& text, size_t i) const {
    double value = 0;
    const Number kind = to_number(text, &value);
    if (kind == Number::fine) return value;
    auto [what, expected] = diagnose(kind, text, i < names_.size() ? &names_[i] : nullptr);
    if (width_ == 1 && text.find_first_of(",;\t") != std::string::npos) expected += " (is the delimiter right?)";
    throw data_error(rows_.where() + ", " + column(i), what, expected, show(text));
  }

  void take_label() {
    const auto i = static_cast<size_t>(label_);
    labels_.take(rows_.field(i), i < names_.size() ? &names_[i] : nullptr,
                 [&] { return rows_.where() + ", " + column(i); });
  }

  Csv finish() {
    if (count_ == 0) throw data_error(name_, "a value is missing in every row", "complete rows", "none");
    Csv csv;
    csv.dropped = dropped_;
    csv.x = at::empty({count_, static_cast<int64_t>(features_.size())}, at::kFloat);
    std::copy(values_.begin(), values_.end(), csv.x.mutable_data_ptr<float>());
    for (size_t k = 0; k < features_.size(); ++k) {
      if (!names_.empty()) csv.columns.push_back(names_[features_[k]]);
      if (roles_[features_[k]] == Role::category) csv.levels[static_cast<int64_t>(k)] = sort_words(csv.x, k);
    }
    if (label_ < 0) return csv;
    labels_.finish(csv, count_);
    return csv;
  }

  // The words of feature k in order; x's column then has their places in it.
  std::vector<std::string> sort_words(const at::Tensor& x, size_t k) const {
    std::vector<std::string> sorted;
    std::vector<float> place(words_[features_[k]].size());
    for (const auto& [word, met] : words_[features_[k]]) {  // a map's order is that of the texts
      place[met] = static_cast<float>(sorted.size());
      sorted.push_back(word);
    }
    float* values = x.mutable_data_ptr<float>();
    for (int64_t row = 0; row < count_; ++row) {
      float& value = values[row * static_cast<int64_t>(features_.size()) + static_cast<int64_t>(k)];
      value = place[static_cast<size_t>(value)];
    }
    return sorted;
  }

  RowReader rows_;
  std::string name_;
  const CsvOptions& options_;  // borrowed
  LabelColumn labels_;
  size_t width_ = 0;
  int64_t label_ = -1, count_ = 0, dropped_ = 0;
  std::vector<std::string> names_;
  std::vector<Role> roles_;
  std::vector<size_t> features_;                      // columns, in order
  std::vector<std::map<std::string, size_t>> words_;  // of each column: word -> how many were met before
  std::vector<float> values_;
};

}  // namespace

Csv parse_csv(std::string_view text, const std::string& name, const CsvOptions& options) {
  if (text.starts_with("\xff\xfe") || text.starts_with("\xfe\xff"))
    throw data_error(name, "UTF-16 text", "UTF-8", "a UTF-16 byte order mark");
  if (text.starts_with("\xef\xbb\xbf")) text.remove_prefix(3);
  return CsvReader(text, name, options).read();
}

Csv read_csv(const std::string& path, const CsvOptions& options) {
  std::string text;
  {
    const File file(path);
    refuse_pickle(file);
    text = file.read(0, file.size());
  }
  if (is_gzip(text)) text = gunzip(text, path);
  return parse_csv(text, path, options);
}

}  // namespace gradus
