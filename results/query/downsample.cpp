#include "downsample.h"

#include <algorithm>
#include <array>
#include <cmath>

namespace gradus::results {

Downsampler::Downsampler(std::int64_t from, std::int64_t to, int columns)
    : from_(from), to_(std::max(from, to)), columns_(std::max(columns, 1)) {}

void Downsampler::push(Point point) {
  if (!out_.steps.empty() && out_.steps.back() >= point.step) return;
  out_.steps.push_back(point.step);
  out_.values.push_back(point.value);
}

void Downsampler::close_column() {
  std::array<Point, 3> kept;
  std::size_t n = 0;
  if (any_) kept[n++] = low_, kept[n++] = high_;
  if (nan_) kept[n++] = first_nan_;
  std::sort(kept.begin(), kept.begin() + n, [](const Point& a, const Point& b) { return a.step < b.step; });
  for (std::size_t i = 0; i < n; ++i) push(kept[i]);
  any_ = nan_ = false;
}

void Downsampler::add(std::int64_t step, double value) {
  if (step < from_) {
    left_ = {step, value};
    before_ = true;
    return;
  }
  if (after_) return;
  if (!started_ && before_) push(left_);
  if (step > to_) {
    close_column();
    if (started_) push(last_);
    push({step, value});
    after_ = started_ = true;
    return;
  }
  if (!started_) push({step, value});
  if (step > column_end_) {
    close_column();
    // In 128 bits: steps may be as large as integers go, and the width of the range does not fit then.
    const __int128 width = static_cast<__int128>(to_) - from_ + 1;
    const __int128 column = (static_cast<__int128>(step) - from_) * columns_ / width;
    const __int128 next = ((column + 1) * width + columns_ - 1) / columns_;  // the first step of the next column
    column_end_ = static_cast<std::int64_t>(from_ + next - 1);
  }
  started_ = true;
  last_ = {step, value};
  if (std::isnan(value)) {
    if (!nan_) first_nan_ = last_;
    nan_ = true;
    return;
  }
  // Of equal values the first counts as lowest and the last as highest: a flat stretch keeps both ends.
  if (!any_ || value < low_.value) low_ = last_;
  if (!any_ || value >= high_.value) high_ = last_;
  any_ = true;
}

Points Downsampler::take() {
  if (!after_) {
    if (!started_ && before_) push(left_);
    close_column();
    if (started_) push(last_);
  }
  return std::move(out_);
}

}  // namespace gradus::results
