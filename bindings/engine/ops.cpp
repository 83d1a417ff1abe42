#include "ops.h"

#include <algorithm>
#include <map>

#include "../nearest.h"
#include "boundary.h"
#include "convert.h"
#include "error.h"
#include "step/operators.h"

namespace gradus {
namespace {

struct Overload {
  c10::OperatorHandle handle;
  bool returns_self;  // in-place: hand back the caller's own userdata instead of another one for the same tensor
};

struct Op {
  std::string name;
  std::vector<const char*> names;   // the dispatcher's names of the overloads
  std::vector<Overload> overloads;  // looked up at the first call
};

// Why an overload does not take these arguments, and how many of them it did take.
struct Mismatch {
  int matched = -1;
  std::string text;
};

std::vector<Op>& registry() {
  static std::vector<Op> ops = {
#define OP(name, ...) {#name, {__VA_ARGS__}, {}},
#include "ops.def"
#undef OP
  };
  return ops;
}

void resolve(Op& op) {
  for (const char* full : op.names) {
    const std::string text = full;
    const auto dot = text.find('.');
    const std::string overload = dot == std::string::npos ? "" : text.substr(dot + 1);
    auto handle = c10::Dispatcher::singleton().findSchemaOrThrow(text.substr(0, dot).c_str(), overload.c_str());
    const auto& schema = handle.schema();
    const bool in_place = op.name.back() == '_' && schema.returns().size() == 1 && !schema.arguments().empty() &&
                          is_write(schema.arguments()[0]) && schema.returns()[0].alias_info();
    op.overloads.push_back({handle, in_place});
  }
}

// A last plain table with only string keys holds named arguments.
bool holds_named(lua_State* L, int index) {
  if (!lua_istable(L, index) || lua_objlen(L, index) > 0) return false;
  lua_pushnil(L);
  if (!lua_next(L, index)) return false;
  const bool named = lua_type(L, -2) == LUA_TSTRING;
  lua_pop(L, 2);
  return named;
}

// zeros(2, 3) and x:view(-1, 8): a run of numbers is a list where the schema wants an open-ended one.
int numbers_from(lua_State* L, int index, int last) {
  int count = 0;
  while (index + count <= last && lua_type(L, index + count) == LUA_TNUMBER) ++count;
  return count;
}

bool is_open_int_list(const c10::Argument& argument) {
  const auto* list = argument.type()->castRaw<c10::ListType>();
  if (!list || argument.N()) return false;
  const auto kind = list->getElementType()->kind();
  return kind == c10::TypeKind::IntType || kind == c10::TypeKind::SymIntType;
}

std::string argument_label(const c10::FunctionSchema& schema, std::size_t i) {
  return "argument " + std::to_string(i + 1) + " '" + schema.arguments()[i].name() + "'";
}

// An argument's name as LibTorch has it, of one that is NumPy's.
std::string numpy_name(const std::string& name) {
  if (name == "axis" || name == "axes") return "dim";
  return name == "keepdims" ? "keepdim" : name;
}

class Binder {
 public:
  Binder(lua_State* L, const c10::FunctionSchema& schema, torch::jit::Stack& stack)
      : L_(L), schema_(schema), stack_(stack), last_(lua_gettop(L)), named_(holds_named(L, last_) ? last_ : 0) {}

  // Fills the stack; false with a reason when the arguments do not fit the schema.
  bool bind(Mismatch* mismatch) {
    if (named_ && !know_names(mismatch)) return false;
    const int last_positional = named_ ? named_ - 1 : last_;
    int next = 1;
    std::size_t used_names = 0;
    for (std::size_t i = 0; i < schema_.arguments().size(); ++i) {
      const auto& argument = schema_.arguments()[i];
      if (!argument.kwarg_only() && next <= last_positional) {
        const int run = is_open_int_list(argument) ? numbers_from(L_, next, last_positional) : 0;
        if (run > 0) {
          if (const int odd = push_run(next, run)) return fail(mismatch, i, odd);
        } else if (!push(argument, next)) {
          return fail(mismatch, i, next);
        }
        next += std::max(run, 1);
        continue;
      }
      if (named_) {
        lua_getfield(L_, named_, argument.name().c_str());
        const bool given = !lua_isnil(L_, -1);
        const bool good = !given || push(argument, lua_gettop(L_));
        if (!good) fail(mismatch, i, lua_gettop(L_));
        lua_pop(L_, 1);
        if (!good) return false;
        used_names += given;
        if (given) continue;
      }
      if (!argument.default_value()) {
        // dtype, device and so on have no default in some schemas, but may be left out
        if (argument.type()->kind() == c10::TypeKind::OptionalType) {
          stack_.emplace_back();
          continue;
        }
        return fail(mismatch, i, 0);
      }
      stack_.push_back(*argument.default_value());
    }
    if (next <= last_positional)
      return refuse(mismatch, "got " + std::to_string(last_positional) + " arguments" + by_name(next));
    return !named_ || all_used(used_names, mismatch);
  }

 private:
  // A boolean where values are asked for is what x == y of two tensors gives in Lua.
  bool is_comparison(const c10::Argument& argument, int index) const {
    if (!lua_isboolean(L_, index) || argument.type()->kind() != c10::TypeKind::TensorType) return false;
    for (const char* takes : {"aten::eq", "aten::ne", "aten::where", "aten::logical_"})
      if (schema_.name().starts_with(takes)) return &argument == schema_.arguments().data();
    return true;
  }

  bool push(const c10::Argument& argument, int index) {
    if (is_comparison(argument, index)) return false;
    auto value = to_ivalue(L_, index, *argument.type(), argument.N());
    if (value) stack_.push_back(std::move(*value));
    return value.has_value();
  }

  // The index of the first that is no integer, 0 when all are.
  int push_run(int first, int count) {
    std::vector<int64_t> list(static_cast<std::size_t>(count));
    for (int i = 0; i < count; ++i)
      if (!is_integer(L_, first + i, &list[i])) return first + i;
    stack_.push_back(c10::IValue(list));
    return 0;
  }

  bool fail(Mismatch* mismatch, std::size_t i, int index) {
    std::string got = index ? describe(L_, index) : "nothing";
    if (index && is_comparison(schema_.arguments()[i], index)) got += kComparison;
    return refuse(
        mismatch,
        argument_label(schema_, i) + ": expected " + expected(*schema_.arguments()[i].real_type()) + "; got " + got, i);
  }

  bool refuse(Mismatch* mismatch, const std::string& text, std::size_t matched = 0) {
    if (static_cast<int>(matched) > mismatch->matched) *mismatch = {static_cast<int>(matched), text};
    return false;
  }

  // What stands where only names are taken: zeros(3, "int64").
  std::string by_name(int index) const {
    if (lua_type(L_, index) != LUA_TSTRING || !parse_dtype(lua_tostring(L_, index))) return "";
    return std::string("; expected { dtype = \"") + lua_tostring(L_, index) + "\" }";
  }

  // A typo is told first: what it leaves out would otherwise be reported as missing.
  bool know_names(Mismatch* mismatch) {
    std::vector<std::string> names;
    for (const auto& argument : schema_.arguments()) names.push_back(argument.name());
    bool known = true;
    for (lua_pushnil(L_); lua_next(L_, named_); lua_pop(L_, 1)) {
      const std::string name = lua_type(L_, -2) == LUA_TSTRING ? lua_tostring(L_, -2) : "?";
      if (std::find(names.begin(), names.end(), name) != names.end()) continue;
      known = false;
      const std::string near = nearest(numpy_name(name), names);
      const std::string hint = near.empty() ? "" : "; did you mean '" + near + "'?";
      refuse(mismatch, "no argument '" + name + "'" + hint, near.empty() ? 0 : kTypo);
    }
    return known;
  }

  bool all_used(std::size_t used, Mismatch* mismatch) {
    std::size_t given = 0;
    for (lua_pushnil(L_); lua_next(L_, named_); lua_pop(L_, 1)) ++given;
    return given == used || refuse(mismatch, "an argument is given both by place and by name");
  }

  static constexpr std::size_t kTypo = 1000;  // the best guess at what is wrong

  lua_State* L_;
  const c10::FunctionSchema& schema_;
  torch::jit::Stack& stack_;
  int last_;
  int named_;
};

std::string signature(const Op& op, const c10::FunctionSchema& schema) {
  std::string text = op.name + "(";
  bool star = false;
  for (std::size_t i = 0; i < schema.arguments().size(); ++i) {
    const auto& argument = schema.arguments()[i];
    if (i) text += ", ";
    if (argument.kwarg_only() && !star) {
      text += "*, ";
      star = true;
    }
    text += argument.real_type()->str() + " " + argument.name();
    if (argument.default_value()) text += "=" + c10::str(*argument.default_value());
  }
  text += ") -> ";
  for (std::size_t i = 0; i < schema.returns().size(); ++i)
    text += (i ? ", " : "") + schema.returns()[i].type()->annotation_str();
  return text;
}

// Binds the Lua arguments to the first overload that takes them; throws with the reason of the closest one.
const Overload& select(lua_State* L, Op& op, torch::jit::Stack& stack) {
  if (op.overloads.empty()) resolve(op);
  Mismatch mismatch;
  for (const Overload& overload : op.overloads) {
    stack.clear();
    if (Binder(L, overload.handle.schema(), stack).bind(&mismatch)) return overload;
  }
  throw Error(Exit::data, mismatch.text + "; usage: " + signature(op, op.overloads.front().handle.schema()));
}

int call_op(lua_State* L) {
  Op& op = *static_cast<Op*>(lua_touserdata(L, lua_upvalueindex(1)));
  // 2 * x is x * 2, as in PyTorch: behind a tensor of 16 bits kernels take a number as it is, before it one of as few bits.
  if (lua_type(L, 1) == LUA_TNUMBER && lua_gettop(L) == 2 && (op.name == "mul" || op.name == "add")) lua_insert(L, 1);
  torch::jit::Stack stack;
  bool returns_self = false;
  guard(L, op.name.c_str(), [&] {
    const Overload& overload = select(L, op, stack);
    returns_self = overload.returns_self;
    overload.handle.callBoxed(stack);
  });
  if (returns_self && test_tensor(L, 1)) {  // not of add_ { self = x, … }
    lua_pushvalue(L, 1);
    return 1;
  }
  const int count = static_cast<int>(stack.size());
  luaL_checkstack(L, count, "too many results");
  for (auto& value : stack) push_ivalue(L, std::move(value));
  return count;
}

}  // namespace

void open_ops(lua_State* L) {
  lua_createtable(L, 0, static_cast<int>(registry().size()));
  for (Op& op : registry()) {
    lua_pushlightuserdata(L, &op);
    lua_pushcclosure(L, &call_op, 1);
    lua_setfield(L, -2, op.name.c_str());
  }
}

void add_methods(lua_State* L) {
  for (Op& op : registry()) {
    const std::string full = op.names.front();
    const auto dot = full.find('.');
    const auto handle = c10::Dispatcher::singleton().findSchema(
        {full.substr(0, dot), dot == std::string::npos ? "" : full.substr(dot + 1)});
    if (!handle || handle->schema().arguments().empty() || handle->schema().arguments()[0].name() != "self") continue;
    lua_pushlightuserdata(L, &op);
    lua_pushcclosure(L, &call_op, 1);
    lua_setfield(L, -2, op.name.c_str());
  }
}

const std::vector<std::string>& op_names() {
  static const std::vector<std::string> names = [] {
    std::vector<std::string> list;
    for (const Op& op : registry()) list.push_back(op.name);
    std::sort(list.begin(), list.end());
    return list;
  }();
  return names;
}

std::string op_help(const std::string& name) {
  for (Op& op : registry()) {
    if (op.name != name) continue;
    if (op.overloads.empty()) resolve(op);
    std::string text;
    for (const Overload& overload : op.overloads)
      text += (text.empty() ? "" : "\n") + signature(op, overload.handle.schema());
    return text;
  }
  return "";
}

}  // namespace gradus
