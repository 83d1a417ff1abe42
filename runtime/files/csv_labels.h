// The column of a CSV file that holds the labels: numbers or classes, and rows that have none.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "csv.h"

namespace gradus::csv {

class LabelColumn {
 public:
  LabelColumn(std::string file, const CsvOptions& options);  // borrowed; file: for errors

  void check_options();  // Error (data): those about labels contradict each other
  // The next row's. column: the name in the header, or null. where: the `where` of an error. Error (data)
  void take(const std::string& text, const std::string* column, const std::function<std::string()>& where);
  // Sets y, classes and unlabelled; rows: how many were taken. Error (data): none of them has a label.
  void finish(Csv& csv, int64_t rows) const;

 private:
  bool is_class(const std::string& text) const;
  void take_number(const std::string& text, const std::string* column, const std::function<std::string()>& where);
  void find_unlabelled(Csv& csv, int64_t rows) const;

  std::string file_;
  const CsvOptions& options_;       // borrowed
  std::string kind_;                // as CsvOptions::labels; "auto" becomes "class" at the first text
  bool whole_ = true;               // so far
  std::vector<std::string> texts_;  // of classes
  std::vector<double> numbers_;     // or of numbers
  std::vector<bool> unlabelled_;    // of each row
};

}  // namespace gradus::csv
