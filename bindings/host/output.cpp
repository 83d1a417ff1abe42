#include "output.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <climits>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <sstream>

#include "error.h"

namespace gradus {

using results::Json;

bool colours_wanted() {
  const char* none = std::getenv("NO_COLOR");
  const char* terminal = std::getenv("TERM");
  return (none == nullptr || *none == '\0') && (terminal == nullptr || std::strcmp(terminal, "dumb") != 0);
}

bool styled() { return colours_wanted() && ::isatty(STDOUT_FILENO) == 1; }

int terminal_columns(int otherwise) {
  winsize size{};
  return ::ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 20 ? size.ws_col : otherwise;
}

std::string fitted(const results::Table& table) { return table.text(styled(), terminal_columns(0)); }

std::string folded(const std::string& text, int indent) {
  const int wide = terminal_columns(INT_MAX);
  std::istringstream lines(text);
  std::string out;
  for (std::string line; std::getline(lines, line); out += line + "\n") {
    const auto begin = static_cast<std::size_t>(line.starts_with(' ') ? indent : 0);
    while (results::display_width(line) > wide) {
      const std::size_t space = line.rfind(' ', static_cast<std::size_t>(wide));
      if (space == std::string::npos || space <= begin) break;
      out += line.substr(0, space) + "\n";
      line = std::string(begin, ' ') + line.substr(space + 1);
    }
  }
  return out;
}

void print(const std::string& text) {
  // A full disk or a closed pipe is seen here or never.
  if (std::fwrite(text.data(), 1, text.size(), stdout) != text.size() || std::fflush(stdout) != 0) {
    throw results::Error(results::Exit::io, "standard output: cannot write");
  }
}

void print_json(const Json& json) { print(json.dump(2, ' ', false, Json::error_handler_t::replace) + "\n"); }

namespace {
bool full = false, cut = false;
}  // namespace

void show_in_full(bool wanted) { full = wanted; }

void print_cuts() {
  if (cut) std::fprintf(stderr, "gradus: texts that end in … are cut; --full shows them whole\n");
}

std::string shown(const Json& value, int width) {
  if (value.is_null()) return "–";
  if (value.is_number_float()) return results::number(value.get<double>());
  const std::string text =
      value.is_string() ? value.get<std::string>() : value.dump(-1, ' ', false, Json::error_handler_t::replace);
  if (!full && width > 0 && results::display_width(text) > width) cut = true;
  return results::printable(text, full ? 0 : width);
}

std::string exact(const Json& value, int width) { return value.is_number_float() ? value.dump() : shown(value, width); }

std::string heading(const std::string& title) {
  return "\n" + (styled() ? "\033[1m" + title + "\033[0m" : title) + "\n";
}

void print_notes(const std::vector<std::string>& notes) {
  for (const std::string& note : notes) std::fprintf(stderr, "gradus: %s\n", note.c_str());
}

std::vector<std::string> split_commas(const std::string& text) {
  std::vector<std::string> parts;
  for (std::size_t begin = 0; begin <= text.size();) {
    std::size_t end = begin;
    for (; end < text.size() && text[end] != ','; ++end) {
      const char closing = text[end] == '"' ? '"' : text[end] == '(' ? ')' : '\0';
      const std::size_t close = closing != '\0' ? text.find(closing, end + 1) : std::string::npos;
      if (close != std::string::npos) end = close;
    }
    std::string part = text.substr(begin, end - begin);
    part.erase(0, part.find_first_not_of(' '));
    part.erase(part.find_last_not_of(' ') + 1);
    if (!part.empty()) parts.push_back(part);
    begin = end + 1;
  }
  return parts;
}

std::vector<std::string> split_all(const std::vector<std::string>& texts) {
  std::vector<std::string> parts;
  for (const std::string& text : texts) {
    for (std::string& part : split_commas(text)) parts.push_back(std::move(part));
  }
  return parts;
}

}  // namespace gradus
