#include "words.h"

#include "table.h"

namespace gradus::results {
namespace {

constexpr std::size_t kHash = 40;  // characters from which a text of hexadecimal digits is one

std::string word(const Json& value) {
  if (value.is_number_float()) return number(value.get<double>());
  if (!value.is_string()) return dump(value);
  const auto& text = value.get_ref<const std::string&>();
  const bool hash = text.size() >= kHash && text.find_first_not_of("0123456789abcdef") == std::string::npos;
  return hash ? text.substr(0, 12) + "…" : text;
}

}  // namespace

std::string in_words(const Json& detail) {
  if (detail.is_null() || detail.is_discarded()) return "";
  if (!detail.is_object()) return word(detail);
  std::string text;
  for (const auto& [key, value] : detail.items()) {
    const std::string part = value.is_object() ? in_words(value) : key + " " + word(value);
    if (!part.empty()) text += (text.empty() ? "" : ", ") + part;
  }
  return text;
}

}  // namespace gradus::results
