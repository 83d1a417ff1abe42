#include "out_variant.h"

#include <map>
#include <memory>
#include <mutex>

#include "operators.h"

namespace gradus {
namespace {

using Key = std::pair<std::string, std::string>;

const std::map<std::string, std::vector<std::string>>& overloads() {
  static const auto index = [] {
    std::map<std::string, std::vector<std::string>> names;
    for (const auto& name : c10::Dispatcher::singleton().getAllOpNames())
      names[name.name].push_back(name.overload_name);
    return names;
  }();
  return index;
}

bool is_out(const c10::Argument& argument) {
  return argument.kwarg_only() && is_write(argument) && argument.type()->kind() == c10::TypeKind::TensorType;
}

bool is_variant(const c10::FunctionSchema& op, const c10::FunctionSchema& candidate) {
  const std::size_t own = op.arguments().size(), outputs = op.returns().size();
  if (candidate.arguments().size() != own + outputs) return false;
  for (std::size_t i = 0; i < own; ++i) {
    const auto &a = op.arguments()[i], &b = candidate.arguments()[i];
    if (a.name() != b.name() || a.alias_info() || !(*a.type() == *b.type())) return false;
  }
  for (std::size_t i = own; i < own + outputs; ++i)
    if (!is_out(candidate.arguments()[i])) return false;
  return true;
}

std::unique_ptr<OutVariant> find(const c10::OperatorHandle& op) {
  const std::string& name = op.operator_name().name;
  if (name == "aten::relu")  // its kernel calls just this
    return std::make_unique<OutVariant>(OutVariant{
        c10::Dispatcher::singleton().findSchemaOrThrow("aten::clamp_min", "out"), {c10::IValue(at::Scalar(0))}, 1});
  const auto known = overloads().find(name);
  if (known == overloads().end()) return nullptr;
  for (const std::string& overload : known->second) {
    const auto candidate = c10::Dispatcher::singleton().findSchema({name, overload});
    if (candidate && candidate->hasKernelForDispatchKey(c10::DispatchKey::CPU) &&
        is_variant(op.schema(), candidate->schema()))
      return std::make_unique<OutVariant>(OutVariant{*candidate, {}, op.schema().returns().size()});
  }
  return nullptr;
}

}  // namespace

const OutVariant* out_variant(const c10::OperatorHandle& op) {
  static std::map<Key, std::unique_ptr<OutVariant>> found;
  static std::mutex mutex;
  const std::lock_guard<std::mutex> lock(mutex);
  const Key key{op.operator_name().name, op.operator_name().overload_name};
  auto place = found.find(key);
  if (place == found.end()) place = found.emplace(key, find(op)).first;
  return place->second.get();
}

}  // namespace gradus
