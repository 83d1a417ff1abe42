#include "convert.h"

#include <cmath>

#include "device.h"
#include "error.h"

namespace gradus {
namespace {

std::optional<at::Scalar> to_scalar(lua_State* L, int index) {
  int64_t integer;
  if (lua_type(L, index) == LUA_TBOOLEAN) return at::Scalar(static_cast<bool>(lua_toboolean(L, index)));
  if (is_integer(L, index, &integer)) return at::Scalar(integer);
  if (lua_type(L, index) == LUA_TNUMBER) return at::Scalar(static_cast<double>(lua_tonumber(L, index)));
  return std::nullopt;
}

// A number where a tensor is expected is a "wrapped number", as in PyTorch: it does not raise the other side's dtype.
std::optional<at::Tensor> to_tensor(lua_State* L, int index) {
  if (at::Tensor* tensor = test_tensor(L, index)) {
    if (!tensor->defined()) throw Error(Exit::data, "a tensor was used after release()");
    return *tensor;
  }
  if (auto scalar = to_scalar(L, index)) {
    at::Tensor tensor =
        at::scalar_tensor(*scalar, at::device(at::kCPU).dtype(scalar->type() == at::kLong   ? at::kLong
                                                              : scalar->type() == at::kBool ? at::kBool
                                                                                            : at::kDouble));
    tensor.unsafeGetTensorImpl()->set_wrapped_number(true);
    return tensor;
  }
  return std::nullopt;
}

template <class T, class Read>
std::optional<std::vector<T>> to_list(lua_State* L, int index, Read read) {
  if (lua_type(L, index) != LUA_TTABLE) return std::nullopt;
  std::vector<T> list;
  const int length = static_cast<int>(lua_objlen(L, index));
  list.reserve(length);
  for (int i = 1; i <= length; ++i) {
    lua_rawgeti(L, index, i);
    auto value = read(lua_gettop(L));
    lua_pop(L, 1);
    if (!value) return std::nullopt;
    list.push_back(std::move(*value));
  }
  if (length == 0 && lua_next(L, (lua_pushnil(L), index))) {  // string keys only: named arguments, not a list
    lua_pop(L, 2);
    return std::nullopt;
  }
  check_list(L, index, length);
  return list;
}

std::optional<int64_t> to_integer(lua_State* L, int index) {
  int64_t value;
  return is_integer(L, index, &value) ? std::optional(value) : std::nullopt;
}

std::optional<c10::IValue> to_int_list(lua_State* L, int index, std::optional<int> length) {
  int64_t one;
  if (is_integer(L, index, &one)) return c10::IValue(std::vector<int64_t>(length.value_or(1), one));
  auto list = to_list<int64_t>(L, index, [&](int at) { return to_integer(L, at); });
  if (!list) return std::nullopt;
  return c10::IValue(*list);
}

std::optional<c10::IValue> list_to_ivalue(lua_State* L, int index, const c10::Type& element,
                                          std::optional<int> length) {
  switch (element.kind()) {
    case c10::TypeKind::IntType:
    case c10::TypeKind::SymIntType:
      return to_int_list(L, index, length);
    case c10::TypeKind::TensorType: {
      auto list = to_list<at::Tensor>(L, index, [&](int at) { return to_tensor(L, at); });
      if (!list) return std::nullopt;
      return c10::IValue(*list);
    }
    default:
      return std::nullopt;
  }
}

struct DtypeName {
  const char* name;
  at::ScalarType type;
};
constexpr DtypeName kDtypes[] = {{"float32", at::kFloat}, {"float64", at::kDouble}, {"bfloat16", at::kBFloat16},
                                 {"float16", at::kHalf},  {"int64", at::kLong},     {"int32", at::kInt},
                                 {"int16", at::kShort},   {"int8", at::kChar},      {"uint8", at::kByte},
                                 {"bool", at::kBool}};

// ScalarType, Device, MemoryFormat, Layout are plain integers or strings to the schema; only the alias tells them
// apart.
std::optional<c10::IValue> string_to_ivalue(const std::string& text, const c10::Type& type) {
  const std::string kind = type.annotation_str();
  if (type.kind() == c10::TypeKind::StringType) return c10::IValue(text);
  if (type.kind() == c10::TypeKind::DeviceObjType) return c10::IValue(resolve_device(text));
  if (kind == "ScalarType" || type.kind() == c10::TypeKind::ScalarTypeType || type.kind() == c10::TypeKind::IntType) {
    if (auto dtype = parse_dtype(text)) return c10::IValue(static_cast<int64_t>(*dtype));
    if (text == "channels_last") return c10::IValue(static_cast<int64_t>(at::MemoryFormat::ChannelsLast));
    if (text == "contiguous_format") return c10::IValue(static_cast<int64_t>(at::MemoryFormat::Contiguous));
    // at::Reduction, which schemas write as an int
    if (text == "none") return c10::IValue(int64_t{0});
    if (text == "mean") return c10::IValue(int64_t{1});
    if (text == "sum") return c10::IValue(int64_t{2});
  }
  return std::nullopt;
}

}  // namespace

void check_list(lua_State* L, int index, int64_t length) {
  int64_t count = 0;
  std::string name;
  bool holes = false;
  for (lua_pushnil(L); lua_next(L, index); lua_pop(L, 1)) {
    const int key = lua_gettop(L) - 1;
    int64_t item = 0;
    if (lua_type(L, key) == LUA_TSTRING) {
      name = lua_tostring(L, key);
    } else if (is_integer(L, key, &item) && item >= 1 && item <= length) {
      ++count;
    } else {
      holes = true;
    }
  }
  const std::string what = "a list of " + std::to_string(count) + " with ";
  if (!name.empty())
    throw Error(Exit::data, what + "the name '" + name + "'; expected names in a table of their own: f({ 1, 2 }, { " +
                                name + " = … })");
  if (holes || count != length) throw Error(Exit::data, what + "a hole; expected a value in each place");
}

bool is_integer(lua_State* L, int index, int64_t* value) {
  if (lua_type(L, index) != LUA_TNUMBER) return false;
  const double number = lua_tonumber(L, index);
  if (number != std::floor(number) || std::fabs(number) > 9007199254740992.0) return false;
  *value = static_cast<int64_t>(number);
  return true;
}

std::optional<at::ScalarType> parse_dtype(const std::string& name) {
  for (const auto& [text, type] : kDtypes)
    if (name == text) return type;
  return std::nullopt;
}

std::string dtype_names() {
  std::string names;
  for (const auto& [text, type] : kDtypes)
    names += (names.empty() ? "" : type == at::kBool ? " or " : ", ") + std::string(text);
  return names;
}

std::string dtype_name(at::ScalarType type) {
  for (const auto& [text, known] : kDtypes)
    if (type == known) return text;
  return c10::toString(type);
}

std::string describe(lua_State* L, int index) {
  if (at::Tensor* tensor = test_tensor(L, index)) {
    if (!tensor->defined()) return "a released Tensor";
    return "Tensor " + c10::str(tensor->sizes()) + " " + dtype_name(tensor->scalar_type());
  }
  switch (lua_type(L, index)) {
    case LUA_TNONE:
      return "nothing";
    case LUA_TNUMBER:
    case LUA_TSTRING: {
      lua_pushvalue(L, index);  // lua_tostring would change the caller's number into a string
      std::string text = lua_tostring(L, -1);
      lua_pop(L, 1);
      if (lua_type(L, index) == LUA_TNUMBER) return "number " + text;
      return "string '" + text.substr(0, 40) + "'";
    }
    case LUA_TBOOLEAN:
      return lua_toboolean(L, index) ? "true" : "false";
    default:
      return lua_typename(L, lua_type(L, index));
  }
}

std::optional<c10::IValue> to_ivalue(lua_State* L, int index, const c10::Type& type, std::optional<int> length) {
  if (type.kind() == c10::TypeKind::OptionalType) {
    if (lua_isnoneornil(L, index)) return c10::IValue();
    return to_ivalue(L, index, *type.castRaw<c10::OptionalType>()->getElementType(), length);
  }
  if (lua_type(L, index) == LUA_TSTRING) return string_to_ivalue(lua_tostring(L, index), type);
  switch (type.kind()) {
    case c10::TypeKind::TensorType:
      if (auto tensor = to_tensor(L, index)) return c10::IValue(std::move(*tensor));
      return std::nullopt;
    case c10::TypeKind::NumberType:
      if (auto scalar = to_scalar(L, index)) return c10::IValue(*scalar);
      return std::nullopt;
    case c10::TypeKind::IntType:
    case c10::TypeKind::SymIntType:
      if (auto value = to_integer(L, index)) return c10::IValue(*value);
      return std::nullopt;
    case c10::TypeKind::FloatType:
      if (lua_type(L, index) == LUA_TNUMBER) return c10::IValue(static_cast<double>(lua_tonumber(L, index)));
      return std::nullopt;
    case c10::TypeKind::BoolType:
      if (lua_isboolean(L, index)) return c10::IValue(static_cast<bool>(lua_toboolean(L, index)));
      return std::nullopt;
    case c10::TypeKind::GeneratorType:
      if (at::Generator* generator = test_generator(L, index)) return c10::IValue(*generator);
      return std::nullopt;
    case c10::TypeKind::ListType:
      return list_to_ivalue(L, index, *type.castRaw<c10::ListType>()->getElementType(), length);
    default:
      return std::nullopt;
  }
}

std::string expected(const c10::Type& type) {
  switch (type.kind()) {
    case c10::TypeKind::OptionalType:
      return expected(*type.castRaw<c10::OptionalType>()->getElementType()) + " or nil";
    case c10::TypeKind::TensorType:
      return "a Tensor";
    case c10::TypeKind::NumberType:
    case c10::TypeKind::FloatType:
      return "a number";
    case c10::TypeKind::IntType:
    case c10::TypeKind::SymIntType:
      return "an integer";
    case c10::TypeKind::BoolType:
      return "true or false";
    case c10::TypeKind::StringType:
      return "a string";
    case c10::TypeKind::DeviceObjType:
      return "a device name";
    case c10::TypeKind::ScalarTypeType:
      return "a dtype's name (" + dtype_names() + ")";
    case c10::TypeKind::GeneratorType:
      return "a generator";
    case c10::TypeKind::ListType: {
      const std::string one = expected(*type.castRaw<c10::ListType>()->getElementType());
      return "a list of " + one.substr(one.find(' ') + 1) + "s";
    }
    default:
      return type.str();
  }
}

void push_ivalue(lua_State* L, c10::IValue value) {
  if (value.isBool()) return lua_pushboolean(L, value.toBool());
  if (!value.isTensorList()) return push_tensor(L, std::move(value).toTensor());
  const auto list = value.toTensorVector();
  lua_createtable(L, static_cast<int>(list.size()), 0);
  for (std::size_t i = 0; i < list.size(); ++i) {
    push_tensor(L, list[i]);
    lua_rawseti(L, -2, static_cast<int>(i) + 1);
  }
}

}  // namespace gradus
