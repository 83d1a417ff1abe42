#include "length_operator.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <cstddef>
#include <cstring>
#include <string_view>
#include <utility>
#include <vector>

namespace gradus {
namespace {

struct Token {
  enum class Kind { name, keyword, number, text, other } kind;
  std::size_t begin, end;
};

constexpr std::array<std::string_view, 22> kKeywords = {
    "and",   "break", "do",  "else", "elseif", "end",    "false", "for",  "function", "goto",  "if",
    "in",    "local", "nil", "not",  "or",     "repeat", "return", "then", "true",     "until", "while"};

bool is_letter(char c) { return std::isalpha(static_cast<unsigned char>(c)) || c == '_' || (c & 0x80); }
bool is_digit(char c) { return std::isdigit(static_cast<unsigned char>(c)); }

// The end of what begins with [[ or [=[ at `at`, or `at` when nothing of the kind does.
std::size_t end_of_long(std::string_view text, std::size_t at) {
  std::size_t level = at + 1;
  while (level < text.size() && text[level] == '=') ++level;
  if (level >= text.size() || text[level] != '[') return at;
  const std::string closing = "]" + std::string(level - at - 1, '=') + "]";
  const std::size_t end = text.find(closing, level);
  return end == std::string_view::npos ? text.size() : end + closing.size();
}

std::size_t end_of_quoted(std::string_view text, std::size_t at) {
  const char quote = text[at];
  for (++at; at < text.size() && text[at] != quote && text[at] != '\n'; ++at)
    if (text[at] == '\\') ++at;
  return std::min(text.size(), at + 1);
}

std::size_t end_of_comment(std::string_view text, std::size_t at) {
  if (at + 2 < text.size() && text[at + 2] == '[')
    if (const std::size_t end = end_of_long(text, at + 2); end != at + 2) return end;
  return std::min(text.size(), text.find('\n', at));
}

// One token at `at`, which is no white space.
Token token_at(std::string_view text, std::size_t at) {
  const char c = text[at];
  std::size_t end = at + 1;
  if (is_letter(c)) {
    while (end < text.size() && (is_letter(text[end]) || is_digit(text[end]))) ++end;
    const bool keyword = std::find(kKeywords.begin(), kKeywords.end(), text.substr(at, end - at)) != kKeywords.end();
    return {keyword ? Token::Kind::keyword : Token::Kind::name, at, end};
  }
  if (c == '"' || c == '\'') return {Token::Kind::text, at, end_of_quoted(text, at)};
  if (c == '[')
    if (const std::size_t closed = end_of_long(text, at); closed != at) return {Token::Kind::text, at, closed};
  const char next = end < text.size() ? text[end] : '\0';
  if (is_digit(c) || (c == '.' && is_digit(next))) {
    while (end < text.size() && (std::isalnum(static_cast<unsigned char>(text[end])) || text[end] == '.' ||
                                 ((text[end] == '-' || text[end] == '+') && std::strchr("eEpP", text[end - 1]))))
      ++end;
    return {Token::Kind::number, at, end};
  }
  if (c == '.' || c == ':')
    while (end < text.size() && text[end] == c) ++end;  // .. and ... and ::
  return {Token::Kind::other, at, end};
}

std::vector<Token> tokens_of(std::string_view text) {
  std::vector<Token> tokens;
  std::size_t at = text.starts_with("\xef\xbb\xbf") ? 3 : 0;
  if (at < text.size() && text[at] == '#') at = std::min(text.size(), text.find('\n', at));  // #!/usr/bin/…
  while (at < text.size()) {
    if (std::isspace(static_cast<unsigned char>(text[at]))) {
      ++at;
    } else if (text.substr(at, 2) == "--") {
      at = end_of_comment(text, at);
    } else {
      tokens.push_back(token_at(text, at));
      at = tokens.back().end;
    }
  }
  return tokens;
}

class Operands {
 public:
  Operands(std::string_view text, const std::vector<Token>& tokens) : text_(text), tokens_(tokens) {}

  bool is(std::size_t i, std::string_view what) const {
    return i < tokens_.size() && text_.substr(tokens_[i].begin, tokens_[i].end - tokens_[i].begin) == what;
  }

  // Whether a value ends with token i: then what follows is no unary operator (`x = f # a comment of Python's`).
  bool ends_value(std::size_t i) const {
    for (const std::string_view closing : {")", "]", "}", "...", "end", "nil", "true", "false"})
      if (is(i, closing)) return true;
    return is_kind(i, Token::Kind::name) || is_kind(i, Token::Kind::text) || is_kind(i, Token::Kind::number);
  }

  // The token behind the operand that begins with token i; i itself where it is no name or parenthesis with what follows.
  std::size_t end(std::size_t i) const {
    std::size_t at = i;
    if (is_kind(i, Token::Kind::name))
      at = i + 1;
    else if (is(i, "("))
      at = closed(i);
    while (at > i) {
      if (is(at, ".") && is_kind(at + 1, Token::Kind::name))
        at += 2;
      else if (is(at, ":") && is_kind(at + 1, Token::Kind::name))
        at += 2;  // the call follows
      else if (is(at, "[") || is(at, "(") || is(at, "{"))
        at = closed(at);
      else if (is_kind(at, Token::Kind::text))
        ++at;
      else
        break;
    }
    return at;
  }

 private:
  bool is_kind(std::size_t i, Token::Kind kind) const { return i < tokens_.size() && tokens_[i].kind == kind; }

  // Behind the bracket that closes the one at token i.
  std::size_t closed(std::size_t i) const {
    int depth = 0;
    for (; i < tokens_.size(); ++i) {
      if (is(i, "(") || is(i, "[") || is(i, "{")) ++depth;
      if ((is(i, ")") || is(i, "]") || is(i, "}")) && --depth == 0) return i + 1;
    }
    return i;
  }

  std::string_view text_;
  const std::vector<Token>& tokens_;
};

// The operand as a text in quotes on one line, for the error about it.
std::string quoted(std::string_view operand) {
  constexpr std::size_t kLongest = 60;
  std::string text = "\"";
  for (const char c : operand.substr(0, kLongest)) {
    if (c == '"' || c == '\\') text += '\\';
    text += std::isspace(static_cast<unsigned char>(c)) ? ' ' : c;
  }
  return text + (operand.size() > kLongest ? " …\"" : "\"");
}

}  // namespace

std::string with_length_calls(const std::string& text) {
  if (text.find('#') == std::string::npos) return text;
  const std::vector<Token> tokens = tokens_of(text);
  const Operands operands(text, tokens);
  struct Edit {
    std::size_t at, removed;
    std::string inserted;
  };
  std::vector<Edit> edits;
  for (std::size_t i = 0; i < tokens.size(); ++i) {
    if (!operands.is(i, "#") || (i > 0 && operands.ends_value(i - 1))) continue;
    const std::size_t end = operands.end(i + 1);
    if (end == i + 1) continue;
    const std::size_t from = tokens[i + 1].begin, to = tokens[end - 1].end;
    edits.push_back({tokens[i].begin, 1, "(" + quoted(std::string_view(text).substr(from, to - from)) + "):__len("});
    edits.push_back({to, 0, ")"});
  }
  std::stable_sort(edits.begin(), edits.end(), [](const Edit& a, const Edit& b) { return a.at < b.at; });
  std::string result;
  std::size_t done = 0;
  for (const Edit& edit : edits) {
    result.append(text, done, edit.at - done);
    result += edit.inserted;
    done = edit.at + edit.removed;
  }
  return result.append(text, done);
}

}  // namespace gradus
