#include "where.h"

#include <regex.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdlib>

#include "direction.h"
#include "error.h"
#include "names.h"
#include "query.h"
#include "scanner.h"
#include "where_names.h"

namespace gradus::results {

using namespace where;

namespace {

struct Operand {
  std::string sql;
  Type type;
  bool literal = false;
  // Of a metric's value, which is NULL both where the metric is missing and where it is NaN: SQL for "it is there".
  std::string present = {};
  std::string boolean = {};  // of a parameter: SQL for "it is one", which is stored as 0 or 1
  std::string name = {};     // of a parameter or a column
};

class Parser : private Scanner {
 public:
  Parser(Store& store, const std::string& text, std::string where) : Scanner(text, std::move(where)), store_(store) {}

  Condition parse() {
    condition_.sql = disjunction();
    if (!at_end()) fail("expected `and`, `or` or the end");
    return std::move(condition_);
  }

  Value value() {
    column_ = true;
    const std::string word = peek_word(metric_char);
    const Column* column = find_column(word);
    const bool free = word == text_ && (column == nullptr || column->is_told()) && !is_param(store_, word);
    const std::string metric = free ? metric_meant(word, metric_names(store_)) : "";
    const Operand one = metric.empty() ? operand() : summary("last", metric);
    if (metric.empty()) {
      if (!at_end()) fail("expected the end");
      if (one.literal || one.type == Type::nil) fail("expected a column of runs, a parameter or a metric");
    }
    return {one.sql, one.present.empty() ? one.sql + " IS NOT NULL" : one.present, one.boolean,
            std::move(condition_.args), metric_};
  }

 private:
  std::string bind(Cell cell) {
    condition_.args.push_back(std::move(cell));
    return "?" + std::to_string(condition_.args.size());
  }

  // --- and, or, not

  std::string disjunction() {
    std::string sql = conjunction();
    while (take_word("or")) sql += " OR " + conjunction();
    return "(" + sql + ")";
  }

  std::string conjunction() {
    std::string sql = factor();
    while (take_word("and")) sql += " AND " + factor();
    return sql;
  }

  std::string factor() {
    if (++depth_ > 16) fail("expected at most 15 parentheses around it");  // SQLite's parser is not deep
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

  // --- comparisons

  std::string comparison() {
    const Operand left = operand();
    const bool negated = take_word("not");
    if (take_word("in")) {
      const std::string sql = left.sql + (negated ? " NOT IN " : " IN ") + list(left);
      return negated && !left.present.empty() ? "coalesce(" + sql + ", " + left.present + ")" : "(" + sql + ")";
    }
    if (take_word("like")) return pattern(left, negated ? " NOT LIKE " : " LIKE ");
    if (negated) fail("expected `in` or `like` after `not`");
    // The longer sign first; ~= is Lua's "not equal".
    static constexpr const char* kSymbols[][2] = {
        {"<=", "<="}, {">=", ">="}, {"==", "="}, {"!=", "!="}, {"~=", "!="},           {"<>", "!="},
        {"<", "<"},   {">", ">"},   {"=", "="},  {"~", "~"},   {"!~", " NOT REGEXP "},
    };
    for (const auto& [symbol, sql] : kSymbols) {
      if (!take(symbol)) continue;
      if (*sql == '~') return pattern(left, " REGEXP ");
      if (*sql == ' ') return pattern(left, sql);
      return compare(left, sql, operand());
    }
    fail("expected a comparison (== != < <= > >= in like ~)");
  }

  std::string compare(const Operand& left, const std::string& op, const Operand& right) {
    const bool equality = op == "=" || op == "!=";
    if (left.type == Type::nil || right.type == Type::nil) {
      if (!equality) fail("expected == nil or != nil before this");
      const Operand& other = left.type == Type::nil ? right : left;
      if (!other.present.empty()) return (op == "=" ? "(NOT " : "(") + other.present + ")";
      return "(" + left.sql + (op == "=" ? " IS " : " IS NOT ") + right.sql + ")";
    }
    check_types(left, right);
    // SQLite puts every number before every text; here no order holds between the two. Beside a column it would read a
    // parameter's text as a number, or a number as a text: + keeps both as they are.
    const std::string as_it_is = left.type == right.type ? "" : "+";
    const std::string plain = as_it_is + left.sql + " " + op + " " + as_it_is + right.sql;
    // NaN is unequal to everything that is there; every other comparison with it fails, as SQL's NULL does.
    if (op == "!=" && !(left.present + right.present).empty()) {
      const auto there = [](const Operand& one) {
        return one.present.empty() ? one.sql + " IS NOT NULL" : one.present;
      };
      return "coalesce(" + plain + ", " + there(left) + " AND " + there(right) + ")";
    }
    if (equality || (left.type == right.type && left.type != Type::any)) return "(" + plain + ")";
    if (left.type == Type::any && right.type == Type::any)
      return "(CASE WHEN (typeof(" + left.sql + ") = 'text') = (typeof(" + right.sql + ") = 'text') THEN " + plain +
             " END)";
    const Type wanted = left.type == Type::any ? right.type : left.type;
    const std::string& open = left.type == Type::any ? left.sql : right.sql;
    const std::string guard = wanted == Type::text ? " = 'text'" : " != 'text'";
    return "(" + plain + " AND typeof(" + open + ")" + guard + ")";
  }

  // A column's type is known; a literal of the other kind is a slip of the pen. `right` was read last.
  void check_types(const Operand& left, const Operand& right) {
    if (right.literal && left.name == "status") check_status();
    if (right.literal && left.type == Type::any && !left.name.empty()) tell_types(left.name, right.type);
    if (left.type == Type::any || right.type == Type::any || left.type == right.type) return;
    fail(std::string("a number never equals a text; expected ") +
         (left.type == Type::number ? "a number after" : "a text in quotes after") + " the comparison before this");
  }

  void check_status() {
    static const std::vector<std::string> kWords = {"running", "finished", "failed", "interrupted"};
    const auto* word = std::get_if<std::string>(&condition_.args.back());
    if (word == nullptr || std::find(kWords.begin(), kWords.end(), *word) != kWords.end()) return;
    throw Error(Exit::usage,
                where_ + ": status: expected running, finished, failed or interrupted; got '" + *word + "'");
  }

  // A parameter that is a number in each run never equals a text: true to what was asked, but seldom what was meant.
  void tell_types(const std::string& key, Type literal) {
    bool numbers = false, texts = false;
    const Rows rows = store_.query("SELECT DISTINCT typeof(value) FROM params WHERE key = ?1", {key});
    for (const auto& row : rows.rows) {
      const std::string type = std::get<std::string>(row[0]);
      (type == "text" ? texts : numbers) |= type != "null";
    }
    if (literal == Type::text && numbers && !texts)
      condition_.notes.push_back(
          key + ": a number or true or false in every run, which never equals a text; without quotes it is one");
    if (literal == Type::number && texts && !numbers)
      condition_.notes.push_back(key + ": a text in every run, which never equals a number; in quotes it is a text");
  }

  // A tag that no run has is no error: the first run that has it may come later.
  void tell_tag(const std::string& key) {
    std::vector<std::string> known;
    for (const auto& row : store_.query("SELECT DISTINCT name FROM tags").rows)
      known.push_back(std::get<std::string>(row[0]));
    if (std::find(known.begin(), known.end(), key) != known.end()) return;
    const std::string near = nearest(key, known);
    condition_.notes.push_back("tags." + key + ": no run has this tag" +
                               (near.empty() ? "" : "; did you mean 'tags." + near + "'?"));
  }

  std::string list(const Operand& left) {
    const bool round = take("("), square = !round && take("[");
    if (!round && !square && !take("{")) fail("expected (literal, …)");
    const char* close = round ? ")" : square ? "]" : "}";
    std::string sql;
    do {
      const Operand item = operand();
      if (!item.literal) fail("expected numbers and quoted texts in the list before this");
      check_types(left, item);
      sql += (sql.empty() ? "(" : ", ") + item.sql;
    } while (take(","));
    if (!take(close)) fail(std::string("expected `") + close + "`");
    return sql + ")";
  }

  std::string pattern(const Operand& left, const std::string& op) {
    if (!at_quote()) fail("expected a pattern in quotes");
    const std::string text = quoted();
    if (op.ends_with("REGEXP ")) check_pattern(text);
    return "(" + left.sql + op + bind(text) + ")";
  }

  void check_pattern(const std::string& text) {
    regex_t pattern;
    const int code = ::regcomp(&pattern, text.c_str(), REG_EXTENDED | REG_NOSUB);
    if (code == 0) return ::regfree(&pattern);
    char reason[100];
    ::regerror(code, &pattern, reason, sizeof reason);
    throw Error(Exit::usage, where_ + ": bad regular expression '" + text + "'; got " + reason);
  }

  // --- values

  Operand operand() {
    if (at_end()) fail("expected a name, a number or a quoted text");
    const char c = text_[at_];
    if (at_quote()) return {bind(quoted()), Type::text, true};
    if (std::isdigit(static_cast<unsigned char>(c)) || c == '-' || c == '+' || c == '.') return number();
    const std::string word = peek_word();
    if (word.empty()) fail("expected a name, a number or a quoted text");
    for (const char* constant : {"true", "false"}) {
      if (word == constant) {
        at_ += word.size();
        return {bind(std::int64_t{word == "true"}), Type::number, true};
      }
    }
    if (word == "nil" || word == "null" || word == "NULL") {
      at_ += word.size();
      return {"NULL", Type::nil, true};
    }
    if (word == "inf" && !is_param(store_, word)) {
      at_ += word.size();
      return {bind(HUGE_VAL), Type::number, true};
    }
    if (word == "nan" && !is_param(store_, word)) fail("nan equals nothing; expected nans(METRIC) > 0");
    if (is_function(word) && text_.compare(at_ + word.size(), 1, "(") == 0) return summary(word);
    return name(word);
  }

  Operand number() {
    char* end = nullptr;
    const double real = std::strtod(text_.c_str() + at_, &end);
    if (end == text_.c_str() + at_) fail("expected a number");
    const std::string digits = text_.substr(at_, static_cast<std::size_t>(end - text_.c_str()) - at_);
    at_ += digits.size();
    std::int64_t whole = 0;  // seeds may need more than the 53 bits of a double
    const auto [stop, error] = std::from_chars(digits.data(), digits.data() + digits.size(), whole);
    if (error == std::errc() && stop == digits.data() + digits.size()) return {bind(whole), Type::number, true};
    return {bind(real), Type::number, true};
  }

  Operand summary(const std::string& function) {
    at_ += function.size() + 1;
    const std::size_t begin = at_;
    std::string key;
    if (at_quote()) {
      key = quoted();
    } else {
      key = peek_word(metric_char);
      at_ += key.size();
    }
    if (!valid_key(key)) fail("expected " + function + "(METRIC" + (function == "at" ? ", STEP)" : ")"));
    std::string step;
    if (function == "at") {
      if (!take(",")) fail("expected at(METRIC, STEP)");
      skip();
      step = number().sql;
    }
    if (!take(")")) fail("expected `)` after " + function + "(METRIC" + (function == "at" ? ", STEP" : ""));
    key = resolve_metric(store_, key, where_ + ", character " + std::to_string(begin + 1), &condition_.notes);
    return summary(function, key, step);
  }

  Operand summary(const std::string& function, const std::string& key, const std::string& step = {}) {
    metric_ = gives_value(function) ? key : "";
    const std::string id = "(SELECT id FROM keys WHERE name = " + bind(key) + ")";
    const std::string of = " WHERE v.run_id = r.id AND v.key_id = " + id;
    std::string sql, present = "EXISTS (SELECT 1 FROM summary_values v" + of + ")";
    if (function == "first") {
      sql = "SELECT v.value FROM metric_values v" + of + " ORDER BY v.step LIMIT 1";
    } else if (function == "at") {
      const std::string until = of + " AND v.step <= " + step;
      sql = "SELECT v.value FROM metric_values v" + until + " ORDER BY v.step DESC LIMIT 1";
      present = "EXISTS (SELECT 1 FROM metric_values v" + until + ")";
    } else if (function == "auc") {
      sql = "SELECT auc(v.step, v.value) FROM metric_values v" + of;
    } else {
      std::string column = function;
      if (function == "best") {
        const Better better = direction(store_, key).better;
        if (better == Better::unknown)
          throw Error(Exit::usage, where_ + ": best(" + key + "): which way is better is not known; expected min(" +
                                       key + ") or max(" + key + "), or that " + how_to_say(key) + " says it");
        column = better == Better::lower ? "min" : "max";
      }
      sql = "SELECT v." + column + " FROM summary_values v" + of;
    }
    return {"(" + sql + ")", Type::number, false, present};
  }

  Operand name(const std::string& short_word) {
    const bool tag = short_word.starts_with("tags."), forced = short_word.starts_with("params.");
    const std::string word = tag ? peek_word(metric_char) : short_word;  // the names of tags are those of metrics
    if (const Column* column = find_column(word); column != nullptr && !(column->is_told() && is_param(store_, word))) {
      at_ += word.size();
      if (word == "archived") condition_.archived = true;
      return {column->sql(), column->type, false, "", "", word};
    }
    std::string key = word;
    if (tag || forced) {
      at_ += tag ? 5 : 7;
      key = word.substr(tag ? 5 : 7);
      if (key.empty() && at_quote()) {
        key = quoted();
      } else {
        at_ += key.size();
      }
    }
    if (tag) {
      tell_tag(key);
      return {"(SELECT value FROM tags WHERE run_id = r.id AND name = " + bind(key) + ")", Type::text};
    }
    key = param(key);
    if (!forced) at_ += word.size();
    const std::string from = " FROM params WHERE run_id = r.id AND key = " + bind(key) + ")";
    return {"(SELECT value" + from, Type::any, false, "", "(SELECT type = 'boolean'" + from, key};
  }

  std::string param(const std::string& key) {
    if (is_param(store_, key)) return key;
    if (std::string meant = loosely(key, param_names(store_)); !meant.empty()) {
      condition_.notes.push_back(key + ": read as the parameter " + meant);
      return meant;
    }
    const std::string wide = peek_word(metric_char);
    fail(unknown_name(store_, key, wide, std::string_view(text_).substr(at_), column_));
  }

  Store& store_;  // borrowed
  std::string metric_;
  int depth_ = 0;
  bool column_ = false;  // the text is a column, not a condition
  Condition condition_;
};

}  // namespace

Condition parse_where(Store& store, const std::string& text) {
  if (text.find_first_not_of(" \t\r\n") == std::string::npos) return {"1"};
  return Parser(store, text, "--where").parse();
}

Value parse_value(Store& store, const std::string& text) {
  return Parser(store, text, "column '" + text + "'").value();
}

}  // namespace gradus::results
