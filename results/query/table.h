// Aligned text tables for a terminal.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace gradus::results {

enum class Align { left, right };

class Table {
 public:
  void column(const std::string& title, Align align = Align::left);
  void label() { labels_ = static_cast<int>(columns_.size()); }  // the columns so far say which row it is
  void row(std::vector<std::string> cells);                      // as many as columns
  bool empty() const { return rows_.empty(); }
  int width() const;  // columns of a terminal
  // Lines that end in a newline. styled: titles and rule dim, for a terminal. wide: a text in the last
  // column is folded to so many columns; what is wider yet goes
  // on below, in parts that each begin with the labels (without any, the first column); 0: as wide as it is.
  std::string text(bool styled, int wide = 0) const;

 private:
  struct Column {
    std::string title;
    Align align;
  };
  std::vector<int> widths() const;
  std::vector<std::vector<int>> parts(const std::vector<int>& widths, int wide) const;

  int labels_ = 1;
  std::vector<Column> columns_;
  std::vector<std::vector<std::string>> rows_;
};

// Terminal columns that UTF-8 text takes. Combining marks take none, East Asian wide characters and emoji two.
int display_width(std::string_view text);
// Printable on one line: control characters, which could drive a terminal, become spaces; cut to `width` columns with
// an ellipsis (0: not).
std::string printable(std::string_view text, int width = 0);
// Few digits that say enough: 0.9412, 1.234e-05, 12000; "nan" and "inf" as such.
std::string number(double value);
// "0.941 ± 0.012": the deviation to two digits, the mean to the same place. Without a deviation: number(mean).
std::string mean_sd(double mean, double sd);
// "[0.929, 0.953]": both ends to the same place, by the width of the interval.
std::string interval(double low, double high);
std::string duration(double seconds);  // "850 ms", "12.3 s", "4 min 05 s", "2 h 10 min"

}  // namespace gradus::results
