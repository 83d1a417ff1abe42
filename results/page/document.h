// A document that is written in either of two languages, HTML or Markdown, part by part.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "plot/plot.h"

namespace gradus::results {

class Document {
 public:
  using Cells = std::vector<std::string>;
  explicit Document(bool markdown) : markdown_(markdown) {}

  void heading(int level, const std::string& text);
  void paragraph(const std::string& text);
  // Nothing where there are no rows. A column whose cells are all numbers is set to the right.
  void table(const Cells& titles, const std::vector<Cells>& rows);
  void code(const std::string& text);               // Lua
  void figure(const std::vector<Figure>& figures);  // HTML only
  void open(const std::string& title);              // a part that HTML folds away, until close()
  void close();
  std::string take() { return std::move(out_); }
  // The same, of HTML as a whole page with this title.
  std::string take_page(const std::string& title);

 private:
  bool markdown_;
  std::string out_;
  int tables_ = 0;  // each has a name of its own
};

}  // namespace gradus::results
