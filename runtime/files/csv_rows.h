// A text of comma-separated values, or of another delimiter, as rows of fields.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace gradus::csv {

// RFC 4180, remembering the line on which each row begins.
class RowReader {
 public:
  // The text is borrowed. name: for errors.
  RowReader(std::string_view text, std::string name, char delimiter)
      : text_(text), name_(std::move(name)), delimiter_(delimiter) {}

  bool next();  // the next row that is not empty; false after the last. Error (data)
  size_t count() const { return count_; }
  const std::string& field(size_t i) const { return fields_[i]; }  // until the next row
  std::string where() const;                                       // "name:line", the `where` of an error

 private:
  void line_end();
  [[noreturn]] void fail(const std::string& what, const std::string& expected, const std::string& got) const;
  void read_field(std::string& field);
  void read_quoted(std::string& field);
  void keep(std::string& field, std::string_view piece);

  std::string_view text_;
  std::string name_;
  char delimiter_;
  size_t at_ = 0, count_ = 0;
  int64_t line_ = 1, row_line_ = 1;
  std::vector<std::string> fields_;
};

std::string show(std::string_view text);  // quoted for an error, at most 40 bytes of it

}  // namespace gradus::csv
