// CSV: rows of numbers, and optionally one label column, from a file (plain or gzip) or a text.
//
// Accepted: LF, CRLF or CR line ends, a UTF-8 byte order mark, quoted fields ("" is a quote), spaces around fields,
// empty lines. Numbers are the C locale's whatever the environment says. Every cell of a feature must be a finite
// number that fits float32; the first that is not is named by line and column, both counted from 1, as editors do, with
// what it looks like (a word, a date, a missing value) and the way out.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "torch.h"

namespace gradus {

struct CsvOptions {
  // Is the first row names? Unset: yes when none of its feature cells is a number, no when all are, else an Error.
  std::optional<bool> header;
  std::optional<std::string> label;    // label column by name (needs a header), or
  std::optional<int64_t> label_index;  // by position, from 0; negative counts from the end
  // How labels become y: "value" float32 numbers; "class" sorted distinct texts, numbered from 0; "auto": whole
  // numbers as int64 as they are, other numbers as values, texts as classes (the first row decides number or text).
  std::string labels = "auto";
  std::vector<std::string> classes;     // known classes in order: y is the position; other labels are refused
  std::vector<std::string> skip;        // columns that are left out, by name
  std::vector<std::string> categories;  // columns of words, by name: x has a word's place among `levels`
  bool drop_missing = false;            // leave out rows with an empty cell or NA, instead of refusing them
  bool keep_unlabelled = false;         // keep rows whose label is an empty cell or NA, without one
  char delimiter = ',';
};

struct Csv {
  at::Tensor x;           // [N, F] float32
  at::Tensor y;           // [N] int64 or float32, of the rows that have a label; undefined without a label column
  at::Tensor unlabelled;  // [N] bool: rows without a label; undefined where all have one
  std::vector<std::string> columns;                    // names of x's columns; empty without a header
  std::vector<std::string> classes;                    // names of y's values when labels are texts
  std::map<int64_t, std::vector<std::string>> levels;  // of x's columns of words: sorted
  int64_t dropped = 0;                                 // rows
};

Csv read_csv(const std::string& path, const CsvOptions& options = {});
Csv parse_csv(std::string_view text, const std::string& name, const CsvOptions& options = {});  // name: for errors

}  // namespace gradus
