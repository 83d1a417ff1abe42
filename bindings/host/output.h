// What the reading commands print with.
#pragma once

#include <string>
#include <vector>

#include "query/query.h"
#include "query/table.h"

namespace gradus {

bool colours_wanted();                // of a terminal: no NO_COLOR, TERM is not dumb
bool styled();                        // and standard output is one
int terminal_columns(int otherwise);  // of standard output; otherwise: it is none
// For standard output: where that is a terminal, no wider than it.
std::string fitted(const results::Table& table);
// And lines, which end in a newline: what has no room goes on below, of a line that begins with a space from this column on.
std::string folded(const std::string& text, int indent);
// Writes to standard output. Error (io): a full disk or a closed pipe.
void print(const std::string& text);
void print_json(const results::Json& json);
// --full of a command: shown() cuts nothing. Without it, whoever cut something says so with print_cuts().
void show_in_full(bool full);
void print_cuts();  // on standard error
// A JSON value as a cell of a table.
std::string shown(const results::Json& value, int width = 40);
// The same with every digit: a setting as it was given, a difference in the last place.
std::string exact(const results::Json& value, int width = 100);
std::string heading(const std::string& title);
// What an expression was taken to mean, on standard error.
void print_notes(const std::vector<std::string>& notes);
// What lies between commas, without the spaces around it. One in quotes or parentheses parts nothing: params."a,b",
// at(val/acc, 9).
std::vector<std::string> split_commas(const std::string& text);
std::vector<std::string> split_all(const std::vector<std::string>& texts);

}  // namespace gradus
