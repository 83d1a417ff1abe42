// CSV: rows of numbers, and optionally one label column, from a file (plain or gzip) or a text.
//
// Accepted: LF, CRLF or CR line ends, a UTF-8 byte order mark, quoted fields ("" is a quote), spaces around fields,
// empty lines. Numbers are the C locale's whatever the environment says. Every cell must be a finite number that fits
// float32; the first that is not is named by line and column, both counted from 1, as editors do.
#pragma once

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
  std::vector<std::string> classes;  // known classes in order: y is the position; other labels are refused
  char delimiter = ',';
};

struct Csv {
  at::Tensor x;                      // [N, F] float32
  at::Tensor y;                      // [N] int64 or float32; undefined without a label column
  std::vector<std::string> columns;  // names of x's columns; empty without a header
  std::vector<std::string> classes;  // names of y's values when labels are texts
};

Csv read_csv(const std::string& path, const CsvOptions& options = {});
Csv parse_csv(std::string_view text, const std::string& name, const CsvOptions& options = {});  // name: for errors

}  // namespace gradus
