#include "key_names.h"

#include <cstdio>

#include "error.h"
#include "store/sha256.h"
#include "utf8.h"

namespace gradus::results {

namespace {

constexpr std::size_t kMostNames = 500'000;  // of a source; more are a mistake

}  // namespace

void KeyNames::know(const std::string& name) {
  if (keys_.size() >= kMostNames && keys_.count(name) == 0)
    throw Error(Exit::data, "import: expected at most " + std::to_string(kMostNames) + " metric names; got more");
  std::string& key = keys_[name];
  if (!valid_key(name)) return;
  key = name;
  taken_[name] = name;
}

const std::string& KeyNames::key(const std::string& name) {
  if (keys_.count(name) == 0) know(name);
  std::string& key = keys_.at(name);
  if (key.empty()) {
    key = changed(name);
    if (!free(key, name)) key = key.substr(0, 190) + "-" + sha256(name).substr(0, 8);
    taken_[key] = name;
  }
  return key;
}

bool KeyNames::free(const std::string& key, const std::string& name) {
  const auto taken = taken_.find(key);
  if (taken != taken_.end()) return taken->second == name;
  if (name.size() > 200) return false;  // cut: not the only one that begins like this
  // In the store it may be this name's from an import before.
  const Rows rows = store_.query(
      "SELECT EXISTS (SELECT 1 FROM keys WHERE name = ?1) AND NOT EXISTS (SELECT 1 FROM events e, json_each(e.detail, "
      "'$.renamed') j WHERE e.kind = 'import' AND json_valid(e.detail) AND j.key = ?1 AND j.value = ?2)",
      {key, name});
  return std::get<std::int64_t>(rows.rows[0][0]) == 0;
}

// A key that looks like the name.
std::string KeyNames::changed(const std::string& name) {
  const std::string text = utf8(name);
  std::string key;
  for (std::size_t i = 0; i < text.size() && key.size() < 200;) {
    const auto byte = static_cast<unsigned char>(text[i]);
    if (byte < 0x80) {
      key += valid_key(text.substr(i++, 1)) ? text[i - 1] : '_';
      continue;
    }
    const std::size_t size = byte >= 0xf0 ? 4 : byte >= 0xe0 ? 3 : 2;  // it is UTF-8
    unsigned point = byte & (0x7fU >> size);
    for (std::size_t k = 1; k < size; ++k) point = point << 6 | (static_cast<unsigned char>(text[i + k]) & 0x3fU);
    char code[12];
    std::snprintf(code, sizeof code, "u%04X", point);
    key += code;
    i += size;
  }
  return key.empty() ? "_" : key.substr(0, 200);
}

}  // namespace gradus::results
