// Long curves as a screen can show them: per pixel column the lowest and the highest point, at their own steps.
#pragma once

#include <cstdint>
#include <vector>

namespace gradus::results {

struct Points {
  std::vector<std::int64_t> steps;  // ascending
  std::vector<double> values;       // NaN: not a number, a gap in the line
};

// Takes points of ascending steps one by one, in constant memory. No extreme is ever lost: what is left out lies
// between the lowest and the highest point of its column. A column with two points keeps both, with NaN also the first
// NaN; the first and the last point are always kept, and so is the nearest point on either side of the range, so that
// lines go on through its edges.
class Downsampler {
 public:
  Downsampler(std::int64_t from, std::int64_t to, int columns);  // [from, to] in `columns` equal parts; from <= to
  void add(std::int64_t step, double value);
  Points take();  // at most 3 points per column and 4 more

 private:
  struct Point {
    std::int64_t step;
    double value;
  };
  void close_column();
  void push(Point point);

  std::int64_t from_, to_;
  int columns_;
  std::int64_t column_end_ = INT64_MIN;  // last step of the column of the points below
  bool any_ = false, nan_ = false;
  Point low_{}, high_{}, first_nan_{}, last_{};
  bool before_ = false, after_ = false, started_ = false;
  Point left_{};  // the nearest point before the range
  Points out_;
};

}  // namespace gradus::results
