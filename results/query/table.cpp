#include "table.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdio>

namespace gradus::results {
namespace {

constexpr int kGap = 2;      // between columns
constexpr int kFolded = 30;  // columns that a text may be folded into, at least

// Decodes one code point and moves on; a byte that is not UTF-8 counts as one replacement character.
std::uint32_t decode(std::string_view text, std::size_t& at) {
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned char first = byte(at);
  const int more = first < 0x80             ? 0
                   : (first & 0xe0) == 0xc0 ? 1
                   : (first & 0xf0) == 0xe0 ? 2
                   : (first & 0xf8) == 0xf0 ? 3
                                            : -1;
  if (more == 0) return text[at++];
  if (more < 0 || at + static_cast<std::size_t>(more) >= text.size()) return ++at, 0xfffd;
  std::uint32_t point = first & (0x3fu >> more);
  for (int i = 1; i <= more; ++i) {
    if ((byte(at + static_cast<std::size_t>(i)) & 0xc0) != 0x80) return ++at, 0xfffd;
    point = point << 6 | (byte(at + static_cast<std::size_t>(i)) & 0x3f);
  }
  at += static_cast<std::size_t>(more) + 1;
  return point;
}

int width(std::uint32_t c) {
  const auto in = [c](std::uint32_t a, std::uint32_t b) { return c >= a && c <= b; };
  if (in(0x300, 0x36f) || in(0x200b, 0x200f) || in(0x20d0, 0x20ff) || in(0xfe00, 0xfe0f)) return 0;
  if (in(0x1100, 0x115f) || in(0x2e80, 0xa4cf) || in(0xac00, 0xd7a3) || in(0xf900, 0xfaff) || in(0xfe30, 0xfe6f) ||
      in(0xff00, 0xff60) || in(0xffe0, 0xffe6) || in(0x1f300, 0x1faff) || in(0x20000, 0x3fffd)) {
    return 2;
  }
  return 1;
}

// A cell may hold colours (ours: printable() takes out everybody else's), which take no room.
int cell_width(std::string_view cell) {
  int columns = display_width(cell);
  for (std::size_t at = 0; (at = cell.find('\033', at)) != std::string_view::npos;) {
    const std::size_t end = std::min(cell.find('m', at), cell.size() - 1);
    columns -= static_cast<int>(end - at + 1);
    at = end;
  }
  return columns;
}

std::string padded(const std::string& text, int columns, Align align) {
  const std::string space(static_cast<std::size_t>(std::max(0, columns - cell_width(text))), ' ');
  return align == Align::left ? text + space : space + text;
}

// The words of a text in lines of so many columns; a longer word has one of its own.
std::vector<std::string> folded(const std::string& text, int columns) {
  std::vector<std::string> lines = {""};
  for (std::size_t begin = 0; begin < text.size();) {
    const std::size_t end = std::min(text.find(' ', begin), text.size());
    const std::string word = text.substr(begin, end - begin);
    std::string& last = lines.back();
    if (last.empty())
      last = word;
    else if (cell_width(last) + 1 + cell_width(word) <= columns)
      last += " " + word;
    else
      lines.push_back(word);
    begin = end + 1;
  }
  return lines;
}

std::string format(const char* how, int digits, double value) {
  char text[64];
  std::snprintf(text, sizeof text, how, digits, value);
  return text;
}

}  // namespace

int display_width(std::string_view text) {
  int columns = 0;
  for (std::size_t at = 0; at < text.size();) columns += width(decode(text, at));
  return columns;
}

std::string printable(std::string_view text, int columns) {
  std::string out;
  int used = 0;
  const bool cut = columns > 0 && display_width(text) > columns;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t begin = at;
    const std::uint32_t c = decode(text, at);
    const int w = width(c);
    if (cut && used + w > columns - 1) break;
    if (c < 0x20 || (c >= 0x7f && c < 0xa0) || (c >= 0x202a && c <= 0x202e)) {
      out += ' ';
    } else if (c == 0xfffd) {
      out += "\xef\xbf\xbd";
    } else {
      out += text.substr(begin, at - begin);
    }
    used += w;
  }
  if (cut) out += "…";
  return out;
}

std::string number(double value) {
  if (std::isnan(value)) return "nan";
  if (std::isinf(value)) return value > 0 ? "inf" : "-inf";
  if (value == std::floor(value) && std::abs(value) < 1e9) return format("%.*f", 0, value == 0 ? 0 : value);
  const double size = std::abs(value);
  if (size < 1e-3 || size >= 1e9) return format("%.*g", 4, value);
  if (size >= 1000) return format("%.*f", 1, value);
  return format("%.*f", std::max(0, 3 - static_cast<int>(std::floor(std::log10(size)))), value);
}

std::string mean_sd(double mean, double sd) {
  if (!std::isfinite(mean) || !std::isfinite(sd)) return number(mean);
  if (sd == 0) return number(mean) + " ± 0";
  const int place = static_cast<int>(std::floor(std::log10(sd)));
  const int decimals = std::max(0, 1 - place);
  if (decimals > 6 || place > 4) return format("%.*g", 4, mean) + " ± " + format("%.*g", 2, sd);
  return format("%.*f", decimals, mean) + " ± " + format("%.*f", decimals, sd);
}

std::string interval(double low, double high) {
  const double width = high - low;
  std::string ends[2] = {number(low), number(high)};
  if (std::isfinite(width) && width > 0) {
    const int place = static_cast<int>(std::floor(std::log10(width)));
    const bool plain = place >= -6 && place <= 4;
    for (int i = 0; i < 2; ++i) {
      const double end = i == 0 ? low : high;
      ends[i] = plain ? format("%.*f", std::max(0, 2 - place), end) : format("%.*g", 4, end);
    }
  }
  return "[" + ends[0] + ", " + ends[1] + "]";
}

std::string duration(double seconds) {
  char text[64];
  if (seconds < 0.9995) {
    std::snprintf(text, sizeof text, "%.0f ms", seconds * 1000);
  } else if (seconds < 60) {
    std::snprintf(text, sizeof text, "%.1f s", seconds);
  } else if (seconds < 3600) {
    std::snprintf(text, sizeof text, "%d min %02d s", static_cast<int>(seconds) / 60, static_cast<int>(seconds) % 60);
  } else {
    std::snprintf(text, sizeof text, "%lld h %02d min", static_cast<long long>(seconds) / 3600,
                  static_cast<int>(std::fmod(seconds, 3600)) / 60);
  }
  return text;
}

void Table::column(const std::string& title, Align align) { columns_.push_back({printable(title), align}); }

void Table::row(std::vector<std::string> cells) {
  cells.resize(columns_.size());
  rows_.push_back(std::move(cells));
}

std::vector<int> Table::widths() const {
  std::vector<int> widths;
  for (const Column& column : columns_) widths.push_back(display_width(column.title));
  for (const auto& row : rows_) {
    for (std::size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], cell_width(row[i]));
  }
  return widths;
}

int Table::width() const {
  int sum = -kGap;
  for (const int width : widths()) sum += width + kGap;
  return sum;
}

// The columns of each part of a table, by their number.
std::vector<std::vector<int>> Table::parts(const std::vector<int>& widths, int wide) const {
  const int count = static_cast<int>(columns_.size()), labels = std::min(labels_, count);
  std::vector<std::vector<int>> parts = {{}};
  int used = 0;
  const auto add = [&](int i) {
    used += widths[static_cast<std::size_t>(i)] + (parts.back().empty() ? 0 : kGap);
    parts.back().push_back(i);
  };
  for (int i = 0; i < count; ++i) {
    const bool alone = static_cast<int>(parts.back().size()) <= labels;  // what fits no line has one of its own
    if (wide > 0 && i > labels && !alone && used + kGap + widths[static_cast<std::size_t>(i)] > wide) {
      parts.emplace_back();
      used = 0;
      for (int label = 0; label < labels; ++label) add(label);
    }
    add(i);
  }
  return parts;
}

std::string Table::text(bool styled, int wide) const {
  std::vector<int> widths = this->widths();
  const int before = columns_.empty() ? 0 : width() - widths.back(), room = wide - before;
  const bool fold = room >= kFolded && widths.back() > room && columns_.back().align == Align::left;
  if (fold) widths.back() = room;
  std::string out;
  for (const std::vector<int>& part : parts(widths, wide)) {
    const auto line = [&](const auto& cell) {
      std::string text;
      for (const int number : part) {
        const auto i = static_cast<std::size_t>(number);
        text += std::string(text.empty() ? 0 : kGap, ' ') + padded(cell(i), widths[i], columns_[i].align);
      }
      text.erase(text.find_last_not_of(' ') + 1);
      return text + "\n";
    };
    out += (out.empty() ? "" : "\n") + std::string(styled ? "\033[2m" : "");
    out += line([&](std::size_t i) { return columns_[i].title; });
    out += line([&](std::size_t i) {
      std::string rule;
      for (int c = 0; c < widths[i]; ++c) rule += "─";
      return rule;
    });
    if (styled) out += "\033[0m";
    for (const auto& row : rows_) {
      const std::vector<std::string> last = fold ? folded(row.back(), room) : std::vector<std::string>();
      out += line([&](std::size_t i) { return fold && i + 1 == row.size() ? last[0] : row[i]; });
      for (std::size_t i = 1; i < last.size(); ++i)
        out += std::string(static_cast<std::size_t>(before), ' ') + last[i] + "\n";
    }
  }
  return out;
}

}  // namespace gradus::results
