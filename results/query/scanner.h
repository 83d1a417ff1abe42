// A condition's text (where.h) as words and signs, and where in it something is wrong.
#pragma once

#include <algorithm>
#include <cctype>
#include <string>

#include "error.h"

namespace gradus::results {

class Scanner {
 public:
  // `where` begins the text of errors.
  Scanner(const std::string& text, std::string where) : text_(text), where_(std::move(where)) {}

  [[noreturn]] void fail(const std::string& expected) {
    const std::string rest = text_.substr(at_, 24);
    throw Error(Exit::usage, where_ + ", character " + std::to_string(at_ + 1) + ": " + expected + "; got " +
                                 (rest.empty() ? "the end" : "'" + rest + "'"));
  }

  void skip() {
    while (at_ < text_.size() && std::isspace(static_cast<unsigned char>(text_[at_]))) ++at_;
  }

  static bool name_char(char c) { return std::isalnum(static_cast<unsigned char>(c)) || c == '_' || c == '.'; }
  static bool metric_char(char c) { return name_char(c) || c == '/' || c == '-'; }

  std::string peek_word(bool (*fits)(char) = name_char) {
    skip();
    std::size_t end = at_;
    while (end < text_.size() && fits(text_[end])) ++end;
    return text_.substr(at_, end - at_);
  }

  bool take_word(const std::string& word) {  // in any case of letters
    const std::string next = peek_word();
    const bool same = next.size() == word.size() &&
                      std::equal(next.begin(), next.end(), word.begin(),
                                 [](char a, char b) { return std::tolower(static_cast<unsigned char>(a)) == b; });
    if (same) at_ += word.size();
    return same;
  }

  bool take(const std::string& symbol) {
    skip();
    if (text_.compare(at_, symbol.size(), symbol) != 0) return false;
    at_ += symbol.size();
    return true;
  }

  bool at_quote() {
    skip();
    return at_ < text_.size() && (text_[at_] == '"' || text_[at_] == '\'');
  }

  std::string quoted() {  // a doubled quote stands for itself
    const char quote = text_[at_];
    std::string text;
    for (std::size_t i = at_ + 1; i < text_.size(); ++i) {
      if (text_[i] != quote) {
        text += text_[i];
      } else if (i + 1 < text_.size() && text_[i + 1] == quote) {
        text += text_[++i];
      } else {
        at_ = i + 1;
        return text;
      }
    }
    fail("expected a closing quote");
  }

  bool at_end() {
    skip();
    return at_ == text_.size();
  }

  const std::string& text_;  // borrowed
  std::string where_;
  std::size_t at_ = 0;
};

}  // namespace gradus::results
