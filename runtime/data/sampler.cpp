#include "sampler.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "error.h"
#include "files/file.h"
#include "random.h"

namespace gradus {

namespace {

constexpr const char* kNames[] = {"sequential", "shuffle", "weighted", "confidence"};
constexpr double kUnseen = std::numeric_limits<double>::quiet_NaN();

[[noreturn]] void refuse(const std::string& what, const std::string& expected, const std::string& got) {
  throw data_error("sampler", what, expected, got);
}

void check_between(const char* name, double value, double low, double high, bool open_low, bool open_high,
                   const char* range) {
  const bool fine = (open_low ? value > low : value >= low) && (open_high ? value < high : value <= high);
  if (!fine) refuse(std::string(name) + " out of range", range, std::to_string(value));
}

void check(const SamplerOptions& o) {
  if (o.rows < 1) refuse("empty data set", "1 row or more", std::to_string(o.rows));
  check_between("target", o.target, 0, 1, false, false, "a number from 0 to 1");
  check_between("floor", o.floor, 0, 1, true, false, "a number above 0, up to 1");
  check_between("decay", o.decay, 0, 1, false, true, "a number from 0 to below 1");
}

template <typename T>
std::vector<T> to_vector(const at::Tensor& tensor, const char* name, at::ScalarType type) {
  if (!tensor.defined() || tensor.dim() != 1)
    refuse(std::string(name) + " is not a list", "a tensor [n]",
           tensor.defined() ? show_shape(tensor.sizes()) : "none");
  if (type == at::kLong && !at::isIntegralType(tensor.scalar_type(), false)) {
    refuse(std::string(name) + " holds no whole numbers", "int64", at::toString(tensor.scalar_type()));
  }
  const at::Tensor plain = tensor.detach().to(at::kCPU, type).contiguous();
  const T* data = plain.const_data_ptr<T>();
  return {data, data + plain.numel()};
}

template <typename T>
at::Tensor to_tensor(const std::vector<T>& values, at::ScalarType type) {
  at::Tensor tensor = at::empty({static_cast<int64_t>(values.size())}, type);
  std::copy(values.begin(), values.end(), tensor.mutable_data_ptr<T>());
  return tensor;
}

std::vector<int64_t> to_rows(const at::Tensor& index, int64_t rows) {
  std::vector<int64_t> list = to_vector<int64_t>(index, "index", at::kLong);
  for (const int64_t row : list) {
    if (row < 0 || row >= rows) refuse("no such row", "0 to " + std::to_string(rows - 1), std::to_string(row));
  }
  return list;
}

}  // namespace

const char* name_of(Sampling mode) { return kNames[static_cast<int>(mode)]; }

Sampling sampling_named(const std::string& name) {
  const auto* const place = std::find(std::begin(kNames), std::end(kNames), name);
  if (place != std::end(kNames)) return static_cast<Sampling>(place - kNames);
  refuse("unknown mode", "sequential, shuffle, weighted or confidence", "'" + name + "'");
}

Sampler::Sampler(const SamplerOptions& options) : options_(options) {
  check(options);
  visits_.assign(options.rows, 0);
  weights_.assign(options.rows, 1.0);
  if (options.mode == Sampling::confidence) confidence_.assign(options.rows, kUnseen);
  std::vector<int64_t> all(options.rows);
  std::iota(all.begin(), all.end(), 0);
  place_subset(std::move(all));
  make_order();
}

void Sampler::need(Sampling mode, const char* method) const {
  if (options_.mode == mode) return;
  refuse(std::string(method) + " has no effect in this mode", std::string("mode '") + name_of(mode) + "'",
         std::string("'") + name_of(options_.mode) + "'");
}

void Sampler::make_order() {
  if (is_weighted()) return;
  permutation_ = subset_;
  if (options_.mode == Sampling::sequential) return;
  Random random(derive_seed(options_.seed, "order", order_));
  for (size_t i = permutation_.size(); i > 1; --i) std::swap(permutation_[i - 1], permutation_[random.below(i)]);
}

int64_t Sampler::next() {
  if (cursor_ == size()) {
    cursor_ = 0, ++passes_, ++order_;
    make_order();
  }
  ++cursor_;
  if (!is_weighted()) return permutation_[cursor_ - 1];
  if (!(tree_[1] > 0)) refuse("the weights of the subset are all zero", "one above 0", "0");
  double left = Random(options_.seed, draws_).uniform() * tree_[1];
  int64_t node = 1;
  while (node < leaves_) {
    node *= 2;
    // A right half of weight zero is never entered, even if rounding says so.
    if (left >= tree_[node] && tree_[node + 1] > 0) left -= tree_[node], ++node;
  }
  return node - leaves_;
}

Sampler::Draw Sampler::draw(int64_t count) {
  if (count < 1) refuse("batch size out of range", "1 or more", std::to_string(count));
  Draw batch{at::empty({count}, at::kLong), at::empty({count}, at::kInt)};
  auto* index = batch.index.mutable_data_ptr<int64_t>();
  auto* visit = batch.visit.mutable_data_ptr<int32_t>();
  for (int64_t i = 0; i < count; ++i) {
    index[i] = next();
    ++draws_;
    visit[i] = visits_[index[i]]++;
  }
  return batch;
}

void Sampler::undo(const at::Tensor& index) {
  const std::vector<int64_t> rows = to_rows(index, options_.rows);
  if (static_cast<int64_t>(rows.size()) > passes_ * size() + cursor_)
    refuse("undo reaches back over set_subset", "rows drawn since then", std::to_string(rows.size()) + " rows");
  for (auto row = rows.rbegin(); row != rows.rend(); ++row) {
    if (cursor_ == 0) {
      cursor_ = size(), --passes_, --order_;
      make_order();
    }
    if (visits_[*row] == 0 || (!is_weighted() && permutation_[cursor_ - 1] != *row)) {
      refuse("undo of a batch that is not the latest", "the latest draw", "row " + std::to_string(*row));
    }
    --cursor_, --draws_, --visits_[*row];
  }
}

void Sampler::place_subset(std::vector<int64_t> rows) {
  std::vector<bool> inside(options_.rows, false);
  for (const int64_t row : rows) {
    if (inside[row])
      refuse("a row twice in the subset (weights say how often a row is drawn)", "distinct rows",
             "row " + std::to_string(row) + " again");
    inside[row] = true;
  }
  subset_ = std::move(rows);
  inside_ = std::move(inside);
  rebuild();
}

void Sampler::set_subset(const at::Tensor& index) {
  std::vector<int64_t> rows = to_rows(index, options_.rows);
  if (rows.empty()) refuse("empty subset", "1 row or more", "0");
  if (rows == subset_) return;
  place_subset(std::move(rows));
  cursor_ = 0, passes_ = 0, ++order_;
  make_order();
}

double Sampler::rule(double confidence) const {
  if (std::isnan(confidence)) return 1;
  const double distance = (confidence - options_.target) / std::max(options_.target, 1 - options_.target);
  return options_.floor + (1 - options_.floor) * (1 - distance * distance);
}

void Sampler::put(int64_t row, double weight) {
  if (!inside_[row]) return;
  int64_t node = leaves_ + row;
  tree_[node] = weight;
  while (node /= 2) tree_[node] = tree_[2 * node] + tree_[2 * node + 1];
}

void Sampler::rebuild() {
  if (!is_weighted()) return;
  for (leaves_ = 1; leaves_ < options_.rows;) leaves_ *= 2;
  tree_.assign(2 * leaves_, 0.0);
  for (const int64_t row : subset_)
    tree_[leaves_ + row] = options_.mode == Sampling::weighted ? weights_[row] : rule(confidence_[row]);
  for (int64_t node = leaves_ - 1; node > 0; --node) tree_[node] = tree_[2 * node] + tree_[2 * node + 1];
}

void Sampler::set_weights(const at::Tensor& weights) { set_weights(at::arange(options_.rows, at::kLong), weights); }

void Sampler::set_weights(const at::Tensor& index, const at::Tensor& weights) {
  need(Sampling::weighted, "set_weights");
  const std::vector<int64_t> rows = to_rows(index, options_.rows);
  const std::vector<double> values = to_vector<double>(weights, "weights", at::kDouble);
  if (values.size() != rows.size())
    refuse("another number of weights than rows", std::to_string(rows.size()), std::to_string(values.size()));
  for (size_t i = 0; i < rows.size(); ++i) {
    if (!(values[i] >= 0 && values[i] <= 1e300))
      refuse("weight of row " + std::to_string(rows[i]) + " out of range", "a finite number >= 0",
             std::to_string(values[i]));
  }
  for (size_t i = 0; i < rows.size(); ++i) {
    weights_[rows[i]] = values[i];
    put(rows[i], values[i]);
  }
}

void Sampler::observe(const at::Tensor& index, const at::Tensor& confidence) {
  need(Sampling::confidence, "observe");
  const std::vector<int64_t> rows = to_rows(index, options_.rows);
  const std::vector<double> values = to_vector<double>(confidence, "confidence", at::kDouble);
  if (values.size() != rows.size())
    refuse("another number of confidences than rows", std::to_string(rows.size()), std::to_string(values.size()));
  for (size_t i = 0; i < rows.size(); ++i) {
    // A sum of float32 probabilities may be a little above 1.
    if (!(values[i] >= 0 && values[i] <= 1 + 1e-4))
      refuse("confidence of row " + std::to_string(rows[i]) + " out of range", "a probability from 0 to 1",
             std::to_string(values[i]));
  }
  for (size_t i = 0; i < rows.size(); ++i) {
    double& average = confidence_[rows[i]];
    const double value = std::min(values[i], 1.0);
    average = std::isnan(average) ? value : options_.decay * average + (1 - options_.decay) * value;
    put(rows[i], rule(average));
  }
}

void Sampler::set_target(double target) {
  need(Sampling::confidence, "set_target");
  SamplerOptions changed = options_;
  changed.target = target;
  check(changed);
  options_ = changed;
  rebuild();
}

double Sampler::passes() const {
  return static_cast<double>(passes_) + static_cast<double>(cursor_) / static_cast<double>(size());
}
at::Tensor Sampler::subset() const { return to_tensor(subset_, at::kLong); }
at::Tensor Sampler::visits() const { return to_tensor(visits_, at::kInt); }

at::Tensor Sampler::weights() const {
  std::vector<double> now(options_.rows, 0.0);
  for (const int64_t row : subset_) now[row] = is_weighted() ? tree_[leaves_ + row] : 1.0;
  return to_tensor(now, at::kDouble);
}

at::Tensor Sampler::confidence() const {
  need(Sampling::confidence, "confidence");
  return to_tensor(confidence_, at::kDouble);
}

double Sampler::effective() const {
  if (!is_weighted()) return static_cast<double>(size());
  double most = 0, sum = 0, squares = 0;
  for (const int64_t row : subset_) most = std::max(most, tree_[leaves_ + row]);
  for (const int64_t row : subset_) {
    const double weight = tree_[leaves_ + row] / most;  // the square of a weight itself may be too large, or too small
    sum += weight;
    squares += weight * weight;
  }
  return sum * sum / squares;
}

Drawn drawn_since(const at::Tensor& visits, const at::Tensor& before, const at::Tensor& difficulty) {
  const auto now = to_vector<int32_t>(visits, "visits", at::kInt);
  const auto then =
      before.defined() ? to_vector<int32_t>(before, "before", at::kInt) : std::vector<int32_t>(now.size());
  const auto known = difficulty.defined() ? to_vector<double>(difficulty, "difficulty", at::kDouble)
                                          : std::vector<double>(now.size(), kUnseen);
  if (then.size() != now.size() || known.size() != now.size())
    refuse("not of the same rows", std::to_string(now.size()) + " before, and difficulties",
           std::to_string(then.size()) + " and " + std::to_string(known.size()));
  double rows = 0, counted = 0, sum = 0;
  for (std::size_t i = 0; i < now.size(); ++i) {
    const double draws = now[i] - then[i];
    rows += draws;
    if (!std::isfinite(known[i])) continue;
    counted += draws;
    sum += draws * known[i];
  }
  return {rows, counted > 0 ? sum / counted : kUnseen};
}

SamplerState Sampler::state() const {
  SamplerState s{options_, draws_, cursor_, passes_, order_, subset(), visits(), {}, {}};
  if (options_.mode == Sampling::weighted) s.weights = to_tensor(weights_, at::kDouble);
  if (options_.mode == Sampling::confidence) s.confidence = to_tensor(confidence_, at::kDouble);
  return s;
}

void Sampler::restore(const SamplerState& s) {
  if (s.options.rows != options_.rows || s.options.mode != options_.mode) {
    refuse("state of another sampler", std::to_string(options_.rows) + " rows, mode '" + name_of(options_.mode) + "'",
           std::to_string(s.options.rows) + " rows, mode '" + name_of(s.options.mode) + "'");
  }
  Sampler fresh(s.options);
  const auto per_row = [&]<typename T>(const at::Tensor& tensor, const char* name, at::ScalarType type,
                                       std::vector<T>& into) {
    std::vector<T> values = to_vector<T>(tensor, name, type);
    if (values.size() != into.size())
      refuse(std::string("state: ") + name + " of another size", std::to_string(into.size()),
             std::to_string(values.size()));
    into = std::move(values);
  };
  per_row(s.visits, "visits", at::kInt, fresh.visits_);
  if (options_.mode == Sampling::weighted) per_row(s.weights, "weights", at::kDouble, fresh.weights_);
  if (options_.mode == Sampling::confidence) per_row(s.confidence, "confidence", at::kDouble, fresh.confidence_);
  std::vector<int64_t> rows = to_rows(s.subset, options_.rows);
  if (rows.empty() || s.cursor < 0 || s.cursor > static_cast<int64_t>(rows.size()) || s.draws < 0 || s.passes < 0 ||
      s.order < 0) {
    refuse("damaged state", "one made by state()", "counters out of range");
  }
  fresh.place_subset(std::move(rows));
  fresh.draws_ = s.draws, fresh.cursor_ = s.cursor, fresh.passes_ = s.passes, fresh.order_ = s.order;
  fresh.make_order();
  *this = std::move(fresh);
}

}  // namespace gradus
