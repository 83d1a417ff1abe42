#include "document.h"

#include <algorithm>

namespace gradus::results {
namespace {

using Cells = Document::Cells;

bool numeric(const std::vector<Cells>& rows, std::size_t column) {
  bool any = false;
  for (const Cells& row : rows) {
    std::string text = row[column];
    for (const std::string word : {"–", " of "}) {  // of numbers too: "– (0 of 3)"
      if (const std::size_t at = text.find(word); at != std::string::npos) text.erase(at, word.size());
    }
    if (text.empty()) continue;
    any = true;
    if (text == "inf" || text == "-inf" || text == "nan") continue;
    if (text.find_first_not_of("0123456789.-+e± ()") != std::string::npos ||
        text.find_first_of("0123456789") == std::string::npos)
      return false;
  }
  return any;
}

std::string cell(const char* tag, const std::string& text, bool right) {
  return std::string("<") + tag + (right ? " class=\"n\">" : ">") + escape_markup(text) + "</" + tag + ">";
}

// Markdown also speaks HTML, and its own signs would turn a name into a table or a link.
std::string inline_text(const std::string& text) {
  std::string out;
  for (const char c : text) {
    if (c == '\n' || c == '\r') {
      out += ' ';
      continue;
    }
    if (c == '<' || c == '>' || c == '&') {
      out += escape_markup(std::string_view(&c, 1));
      continue;
    }
    if (std::string_view("\\`*_[]|#!").find(c) != std::string_view::npos) out += '\\';
    out += c;
  }
  return out;
}

std::string row_text(const Cells& cells) {
  std::string row = "|";
  for (const std::string& text : cells) row += " " + inline_text(text) + " |";
  return row + "\n";
}

constexpr const char* kHead = R"(<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<style>
body { font: 15px/1.55 Inter, "Helvetica Neue", Arial, sans-serif; color: #1d2330; max-width: 900px; margin: 40px auto 80px; padding: 0 20px; font-variant-numeric: tabular-nums; }
h1 { font-size: 26px; font-weight: 600; letter-spacing: -.01em; margin: 0 0 4px; } h2 { font-size: 18px; font-weight: 600; margin: 38px 0 10px; }
p { color: #5c6470; margin: 6px 0; } .wide { overflow-x: auto; } table { border-collapse: collapse; font-size: 13.5px; margin: 8px 0 14px; }
th { text-align: left; font-weight: 500; color: #5c6470; } td, th { padding: 4px 20px 4px 0; border-bottom: 1px solid #e4e5e7; vertical-align: top; } .n { text-align: right; }
figure { margin: 14px 0; } svg { max-width: 100%; height: auto; } details { border-bottom: 1px solid #e4e5e7; padding: 7px 0; } summary { cursor: pointer; }
pre { font: 12.5px/1.5 ui-monospace, "DejaVu Sans Mono", monospace; background: #f7f7f5; padding: 14px 18px; border-radius: 8px; overflow-x: auto; }
@media print { details { display: block; } body { margin: 0; } }
</style>
)";

}  // namespace

void Document::heading(int level, const std::string& text) {
  const std::string tag = "h" + std::to_string(level);
  out_ += markdown_ ? std::string(static_cast<std::size_t>(level), '#') + " " + inline_text(text) + "\n\n"
                    : "<" + tag + ">" + escape_markup(text) + "</" + tag + ">\n";
}

void Document::paragraph(const std::string& text) {
  out_ += markdown_ ? inline_text(text) + "\n\n" : "<p>" + escape_markup(text) + "</p>\n";
}

void Document::table(const Cells& titles, const std::vector<Cells>& rows) {
  if (rows.empty()) return;
  std::vector<bool> right;
  for (std::size_t i = 0; i < titles.size(); ++i) right.push_back(numeric(rows, i));
  if (markdown_) {
    out_ += row_text(titles) + "|";
    for (const bool to_the_right : right) out_ += to_the_right ? " ---: |" : " --- |";
    out_ += "\n";
    for (const Cells& row : rows) out_ += row_text(row);
    out_ += "\n";
    return;
  }
  // What may be wider than the screen scrolls by itself, with the keyboard too.
  out_ += "<div class=\"wide\" tabindex=\"0\" role=\"region\" aria-label=\"Table " + std::to_string(++tables_) +
          "\"><table>\n";
  if (std::any_of(titles.begin(), titles.end(), [](const std::string& title) { return !title.empty(); })) {
    out_ += "<thead><tr>";
    for (std::size_t i = 0; i < titles.size(); ++i) out_ += cell(titles[i].empty() ? "td" : "th", titles[i], right[i]);
    out_ += "</tr></thead>\n";
  }
  out_ += "<tbody>\n";
  for (const Cells& row : rows) {
    out_ += "<tr>";
    for (std::size_t i = 0; i < row.size(); ++i) out_ += cell("td", row[i], right[i]);
    out_ += "</tr>\n";
  }
  out_ += "</tbody></table></div>\n";
}

void Document::code(const std::string& text) {
  if (!markdown_) {
    out_ += "<pre tabindex=\"0\">" + escape_markup(text) + "</pre>\n";
    return;
  }
  std::string fence = "```";  // longer than any in the text
  while (text.find(fence) != std::string::npos) fence += '`';
  out_ += fence + "lua\n" + text + (text.empty() || text.back() != '\n' ? "\n" : "") + fence + "\n\n";
}

void Document::figure(const std::vector<Figure>& figures) {
  if (!markdown_ && !figures.empty()) out_ += "<figure>" + svg_plot(figures, 860, 250) + "</figure>\n";
}

void Document::open(const std::string& title) {
  if (!markdown_) out_ += "<details><summary>" + escape_markup(title) + "</summary>\n";
  if (markdown_) heading(3, title);
}

void Document::close() {
  if (!markdown_) out_ += "</details>\n";
}

std::string Document::take_page(const std::string& title) {
  if (markdown_) return take();
  return "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<title>" + escape_markup(title) +
         "</title>\n" + kHead + "</head>\n<body>\n<main>\n" + take() + "</main>\n</body>\n</html>\n";
}

}  // namespace gradus::results
