#include "csv_rows.h"

#include "file.h"

namespace gradus::csv {
namespace {

constexpr size_t kMaxField = 1 << 20, kMaxColumns = 1'000'000;

bool is_space(char c) { return c == ' ' || c == '\t'; }

}  // namespace

std::string show(std::string_view text) {
  return "'" + std::string(text.substr(0, 40)) + (text.size() > 40 ? "…'" : "'");
}

bool RowReader::next() {
  while (at_ < text_.size() && (text_[at_] == '\n' || text_[at_] == '\r')) line_end();
  if (at_ >= text_.size()) return false;
  row_line_ = line_;
  count_ = 0;
  do {
    if (count_ == kMaxColumns) throw data_error(where(), "too many columns", "at most 1000000", "more");
    if (count_ == fields_.size()) fields_.emplace_back();
    read_field(fields_[count_++]);
  } while (at_ < text_.size() && text_[at_] == delimiter_ && ++at_);
  if (at_ < text_.size()) line_end();
  return true;
}

std::string RowReader::where() const { return name_ + ":" + std::to_string(row_line_); }

void RowReader::line_end() {
  if (text_[at_] == '\r' && at_ + 1 < text_.size() && text_[at_ + 1] == '\n') ++at_;
  ++at_, ++line_;
}

void RowReader::fail(const std::string& what, const std::string& expected, const std::string& got) const {
  throw data_error(where() + ", column " + std::to_string(count_), what, expected, got);
}

void RowReader::read_field(std::string& field) {
  while (at_ < text_.size() && is_space(text_[at_]) && text_[at_] != delimiter_) ++at_;
  field.clear();
  if (at_ < text_.size() && text_[at_] == '"') return read_quoted(field);
  const size_t begin = at_;
  while (at_ < text_.size() && text_[at_] != delimiter_ && text_[at_] != '\n' && text_[at_] != '\r') ++at_;
  size_t end = at_;
  while (end > begin && is_space(text_[end - 1])) --end;
  keep(field, text_.substr(begin, end - begin));
}

void RowReader::read_quoted(std::string& field) {
  const int64_t opened = line_;
  for (++at_;; ++at_) {
    const size_t begin = at_;
    while (at_ < text_.size() && text_[at_] != '"') {
      if (text_[at_] == '\n' || (text_[at_] == '\r' && !text_.substr(at_ + 1).starts_with('\n'))) ++line_;
      ++at_;
    }
    if (at_ >= text_.size())
      fail("quote is not closed", "a closing \"",
           "the end of the file (opened on line " + std::to_string(opened) + ")");
    keep(field, text_.substr(begin, at_ - begin));
    if (!text_.substr(at_ + 1).starts_with('"')) break;
    field += '"';
    ++at_;
  }
  ++at_;
  while (at_ < text_.size() && is_space(text_[at_]) && text_[at_] != delimiter_) ++at_;
  if (at_ < text_.size() && text_[at_] != delimiter_ && text_[at_] != '\n' && text_[at_] != '\r') {
    fail("text after a closing quote", std::string("'") + delimiter_ + "' or the line's end",
         show(text_.substr(at_, 10)));
  }
}

void RowReader::keep(std::string& field, std::string_view piece) {
  if (field.size() + piece.size() > kMaxField) fail("field too long", "at most 1048576 bytes", "more");
  if (piece.find('\0') != std::string_view::npos)
    fail("a zero byte", "text (a UTF-16 file must be saved as UTF-8)", "binary data");
  field += piece;
}

}  // namespace gradus::csv
