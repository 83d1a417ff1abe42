#include "names.h"

#include <algorithm>
#include <cctype>
#include <numeric>

#include "error.h"
#include "query.h"
#include "utf8.h"

namespace gradus::results {
namespace {

std::string loose(std::string name) {  // val/acc, val.acc, val-acc and val_acc are one word to a hasty writer
  for (char& c : name) {
    if (c == '/' || c == '.' || c == '-') c = '_';
  }
  return name;
}

int lower(char c) { return std::tolower(static_cast<unsigned char>(c)); }

std::vector<std::string> texts(const Rows& rows) {
  std::vector<std::string> all;
  for (const auto& row : rows.rows) all.push_back(utf8(std::get<std::string>(row[0])));
  return all;
}

}  // namespace

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
        row[j] = std::min({up + 1, row[j - 1] + 1, diagonal + (lower(word[i - 1]) != lower(other[j - 1]))});
        diagonal = up;
      }
    }
    if (row.back() < best_distance) {
      best_distance = row.back();
      best = other;
    }
  }
  if (!best.empty() || word.size() < 3) return best;
  for (const std::string& other : known) {  // cut short: 'strat' for 'strategy', 'acc' for 'val/acc'
    if ((other.starts_with(word) || other.ends_with("/" + word)) && (best.empty() || other.size() < best.size()))
      best = other;
  }
  return best;
}

std::string loosely(const std::string& name, const std::vector<std::string>& known) {
  std::string found;
  for (const std::string& other : known) {
    if (loose(other) != loose(name)) continue;
    if (!found.empty()) return "";
    found = other;
  }
  return found;
}

std::vector<std::string> metric_names(Store& store) {
  return texts(store.query("SELECT name FROM keys ORDER BY name"));
}

std::vector<std::string> param_names(Store& store) {
  // One step of the index for a name, instead of all runs' rows.
  return texts(store.query(
      "WITH RECURSIVE k(key) AS (SELECT min(key) FROM params UNION ALL SELECT (SELECT min(key) FROM params WHERE key > "
      "k.key) FROM k WHERE k.key IS NOT NULL) SELECT key FROM k WHERE key IS NOT NULL"));
}

std::string resolve_metric(Store& store, const std::string& name, const std::string& where,
                           std::vector<std::string>* notes) {
  const std::vector<std::string> known = metric_names(store);
  if (std::find(known.begin(), known.end(), name) != known.end()) return name;
  std::string meant = loosely(name, known);
  if (meant.empty()) {
    const std::string near = nearest(name, known);
    throw Error(Exit::usage, where + ": no run has the metric '" + name + "'" +
                                 (near.empty() ? "" : " (did you mean '" + near + "'?)"));
  }
  if (notes != nullptr) notes->push_back(name + ": read as the metric " + meant);
  return meant;
}

}  // namespace gradus::results
