#include "where.h"

#include <algorithm>
#include <cctype>
#include <cstdlib>
#include <numeric>
#include <set>

#include "error.h"

namespace gradus::results {

std::string nearest(const std::string& word, const std::vector<std::string>& known) {
  std::string best;
  std::size_t best_distance = std::max<std::size_t>(word.size() / 3, 1) + 1;
  for (const std::string& other : known) {
    std::vector<std::size_t> row(other.size() + 1);
    std::iota(row.begin(), row.end(), std::size_t{0});
    for (std::size_t i = 1; i <= word.size(); ++i) {
      std::size_t diagonal = row[0]++;
      for (std::size_t j = 1; j <= other.size(); ++j) {
        const std::size_t up = row[j];
        row[j] = std::min({up + 1, row[j - 1] + 1, diagonal + (word[i - 1] != other[j - 1])});
        diagonal = up;
      }
    }
    if (row.back() < best_distance) {
      best_distance = row.back();
      best = other;
    }
  }
  return best;
}

namespace {

const std::vector<std::string> kColumns = {
    "id",     "uid",  "name",   "kind",    "status",     "seed",      "config_hash", "started", "ended", "seconds",
    "parent", "host", "device", "threads", "git_commit", "git_dirty", "script",      "command", "error"};
const std::vector<std::string> kFunctions = {"last", "min", "max", "argmin", "argmax", "count"};

bool has(const std::vector<std::string>& words, const std::string& word) {
  return std::find(words.begin(), words.end(), word) != words.end();
}

class Parser {
 public:
  Parser(Store& store, const std::string& text) : text_(text) {
    for (const auto& row : store.query("SELECT DISTINCT key FROM params").rows)
      params_.push_back(std::get<std::string>(row[0]));
  }

  Condition parse() {
    condition_.sql = disjunction();
    skip();
    if (at_ != text_.size()) fail("expected `and`, `or` or the end");
    return std::move(condition_);
  }

 private:
  [[noreturn]] void fail(const std::string& expected) {
    const std::string rest = text_.substr(at_, 24);
    throw Error(Exit::usage, "--where, character " + std::to_string(at_ + 1) + ": " + expected + "; got " +
                                 (rest.empty() ? "the end" : "'" + rest + "'"));
  }

  void skip() {
    while (at_ < text_.size() && std::isspace(static_cast<unsigned char>(text_[at_]))) ++at_;
  }

  static bool name_char(char c) { return std::isalnum(static_cast<unsigned char>(c)) || c == '_' || c == '.'; }

  std::string peek_word() {
    skip();
    std::size_t end = at_;
    while (end < text_.size() && name_char(text_[end])) ++end;
    return text_.substr(at_, end - at_);
  }

  bool take_word(const char* word) {
    if (peek_word() != word) return false;
    at_ += std::string(word).size();
    return true;
  }

  bool take(const std::string& symbol) {
    skip();
    if (text_.compare(at_, symbol.size(), symbol) != 0) return false;
    at_ += symbol.size();
    return true;
  }

  std::string disjunction() {
    std::string sql = conjunction();
    while (take_word("or")) sql = "(" + sql + " OR " + conjunction() + ")";
    return sql;
  }

  std::string conjunction() {
    std::string sql = factor();
    while (take_word("and")) sql = "(" + sql + " AND " + factor() + ")";
    return sql;
  }

  std::string factor() {
    if (++depth_ > 100) fail("expected fewer than 100 nested parentheses");
    std::string sql;
    if (take_word("not")) {
      sql = "NOT coalesce(" + factor() + ", 0)";
    } else if (take("(")) {
      sql = disjunction();
      if (!take(")")) fail("expected `)`");
    } else {
      sql = comparison();
    }
    --depth_;
    return sql;
  }

  std::string comparison() {
    const std::string left = operand();
    static constexpr const char* kSymbols[][2] = {{"<=", "<="}, {">=", ">="}, {"==", "="}, {"!=", "!="}, {"~=", "!="},
                                                  {"<>", "!="}, {"<", "<"},   {">", ">"},  {"=", "="}};
    for (const auto& [symbol, sql] : kSymbols) {
      if (take(symbol)) return "(" + left + " " + sql + " " + operand() + ")";
    }
    fail("expected a comparison (= != < <= > >=)");
  }

  std::string value(Cell cell) {
    condition_.args.push_back(std::move(cell));
    return "?" + std::to_string(condition_.args.size());
  }

  std::string operand() {
    skip();
    if (at_ == text_.size()) fail("expected a name, a number or a quoted text");
    const char c = text_[at_];
    if (c == '"' || c == '\'') {
      const std::size_t end = text_.find(c, at_ + 1);
      if (end == std::string::npos) fail("expected a closing quote");
      std::string quoted = text_.substr(at_ + 1, end - at_ - 1);
      at_ = end + 1;
      return value(std::move(quoted));
    }
    if (std::isdigit(static_cast<unsigned char>(c)) || c == '-' || c == '+' || c == '.') {
      char* end = nullptr;
      const double number = std::strtod(text_.c_str() + at_, &end);
      if (end == text_.c_str() + at_) fail("expected a number");
      at_ = static_cast<std::size_t>(end - text_.c_str());
      return value(number);
    }
    const std::string word = peek_word();
    if (word.empty()) fail("expected a name, a number or a quoted text");
    if (word == "true" || word == "false") {
      at_ += word.size();
      return value(std::int64_t{word == "true"});
    }
    if (has(kFunctions, word) && text_.compare(at_ + word.size(), 1, "(") == 0) return summary(word);
    const std::string column = name(word);
    at_ += word.size();
    return column;
  }

  std::string summary(const std::string& function) {
    const std::size_t begin = at_ + function.size() + 1;
    const std::size_t end = text_.find(')', begin);
    const std::string key = end == std::string::npos ? "" : text_.substr(begin, end - begin);
    if (!valid_key(key)) fail("expected " + function + "(METRIC)");
    at_ = end + 1;
    return "(SELECT " + function + " FROM summaries WHERE run_id = r.id AND key = " + value(key) + ")";
  }

  std::string name(const std::string& word) {
    const bool forced = word.rfind("params.", 0) == 0;
    if (!forced && has(kColumns, word)) return "r." + word;
    const std::string param = forced ? word.substr(7) : word;
    if (!has(params_, param)) {
      std::vector<std::string> known = kColumns;
      known.insert(known.end(), params_.begin(), params_.end());
      const std::string near = nearest(param, known);
      fail("unknown name '" + param + "'" + (near.empty() ? "" : " (did you mean '" + near + "'?)") +
           "; expected a column of runs, a parameter, or a text in quotes");
    }
    return "(SELECT value FROM params WHERE run_id = r.id AND key = " + value(param) + ")";
  }

  const std::string& text_;
  std::size_t at_ = 0;
  int depth_ = 0;
  std::vector<std::string> params_;
  Condition condition_;
};

}  // namespace

Condition parse_where(Store& store, const std::string& text) {
  if (text.find_first_not_of(" \t\n") == std::string::npos) return {"1", {}};
  return Parser(store, text).parse();
}

}  // namespace gradus::results
