#include "direct.h"

#include <map>

namespace gradus {
namespace {

// Filled while the library is loaded, by the files that define the operators.
std::map<std::pair<std::string, std::string>, PrepareDirect>& kernels() {
  static auto* known = new std::map<std::pair<std::string, std::string>, PrepareDirect>;
  return *known;
}

}  // namespace

PrepareDirect direct_kernel(const c10::OperatorName& name) {
  const auto found = kernels().find({name.name, name.overload_name});
  return found == kernels().end() ? nullptr : found->second;
}

void register_direct(const char* name, const char* overload, PrepareDirect prepare) {
  kernels()[{name, overload}] = prepare;
}

}  // namespace gradus
