// Other tools' metric names as keys of the store.
#pragma once

#include <map>
#include <string>

#include "store/store.h"

namespace gradus::results {

// Each has a key of its own (import.h says which).
class KeyNames {
 public:
  explicit KeyNames(Store& store) : store_(store) {}  // borrowed
  void know(const std::string& name);                 // of the source; all of them before the first key() is asked for
  const std::string& key(const std::string& name);    // of a known name

 private:
  std::string changed(const std::string& name);
  bool free(const std::string& key, const std::string& name);

  Store& store_;
  std::map<std::string, std::string> keys_;   // by name; "": not decided yet
  std::map<std::string, std::string> taken_;  // by key
};

}  // namespace gradus::results
