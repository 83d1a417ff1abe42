#include "signature.h"

#include "convert.h"

namespace gradus {
namespace {

constexpr int kDepth = 4;

const void* address(lua_State* L, int index) {
  return lua_type(L, index) == LUA_TSTRING ? lua_tostring(L, index) : lua_topointer(L, index);
}

Signature read(lua_State* L, int index, int anchors, std::vector<at::Tensor>& inputs, int depth) {
  Signature s;
  if (at::Tensor* tensor = test_tensor(L, index)) {
    s.kind = Signature::Kind::tensor;
    inputs.push_back(*tensor);
    return s;
  }
  switch (lua_type(L, index)) {
    case LUA_TNIL:
    case LUA_TNONE:
      return s;
    case LUA_TNUMBER:
    case LUA_TBOOLEAN:
      s.kind = lua_isnumber(L, index) ? Signature::Kind::number : Signature::Kind::boolean;
      s.number = lua_isnumber(L, index) ? lua_tonumber(L, index) : lua_toboolean(L, index);
      return s;
    case LUA_TTABLE:
      if (depth > 0) break;
      [[fallthrough]];
    default:
      s.kind = Signature::Kind::object;
      anchor(L, anchors, index);
      s.object = address(L, index);
      return s;
  }
  s.kind = Signature::Kind::table;
  luaL_checkstack(L, 4, "arguments too deep");
  for (lua_pushnil(L); lua_next(L, index); lua_pop(L, 1)) {
    Signature entry = read(L, lua_gettop(L), anchors, inputs, depth - 1);
    if (lua_type(L, -2) == LUA_TNUMBER) {
      entry.place = lua_tonumber(L, -2);
    } else {
      anchor(L, anchors, -2);
      entry.name = address(L, -2);
    }
    s.entries.push_back(std::move(entry));
  }
  return s;
}

const Signature* find(lua_State* L, int key, const std::vector<Signature>& entries) {
  const bool number = lua_type(L, key) == LUA_TNUMBER;
  const void* name = number ? nullptr : address(L, key);
  for (const Signature& entry : entries)
    if (entry.name == name && (!number || entry.place == lua_tonumber(L, key))) return &entry;
  return nullptr;
}

// Tensors arrive in the order of lua_next, which need not be that of the recording: each has its place.
int count_tensors(const Signature& s) {
  int count = s.kind == Signature::Kind::tensor;
  for (const Signature& entry : s.entries) count += count_tensors(entry);
  return count;
}

bool match(lua_State* L, int index, const Signature& s, Arguments& arguments, std::size_t first) {
  switch (s.kind) {
    case Signature::Kind::none:
      return lua_isnoneornil(L, index);
    case Signature::Kind::tensor: {
      at::Tensor* tensor = test_tensor(L, index);
      if (!tensor || !tensor->defined()) return false;
      arguments.inputs[first] = *tensor;
      return true;
    }
    case Signature::Kind::number:
      if (lua_type(L, index) != LUA_TNUMBER) return false;
      if (!s.knob.defined()) return lua_tonumber(L, index) == s.number;
      arguments.knobs.emplace_back(static_cast<double*>(s.knob.mutable_data_ptr()), lua_tonumber(L, index));
      return true;
    case Signature::Kind::boolean:
      return lua_isboolean(L, index) && lua_toboolean(L, index) == static_cast<int>(s.number);
    case Signature::Kind::object:
      return address(L, index) == s.object;
    case Signature::Kind::table:
      break;
  }
  if (!lua_istable(L, index)) return false;
  luaL_checkstack(L, 4, "arguments too deep");
  std::size_t count = 0;
  for (lua_pushnil(L); lua_next(L, index); lua_pop(L, 1)) {
    const Signature* entry = find(L, lua_gettop(L) - 1, s.entries);
    std::size_t place = first;
    for (const Signature* e = s.entries.data(); entry && e != entry; ++e) place += count_tensors(*e);
    if (!entry || !match(L, lua_gettop(L), *entry, arguments, place)) {
      lua_pop(L, 2);
      return false;
    }
    ++count;
  }
  return count == s.entries.size();
}

}  // namespace

int anchor(lua_State* L, int anchors, int index) {
  lua_pushvalue(L, index);
  const int place = static_cast<int>(lua_objlen(L, anchors)) + 1;
  lua_rawseti(L, anchors, place);
  return place;
}

Signature read_signature(lua_State* L, int index, int anchors, std::vector<at::Tensor>& inputs) {
  return read(L, index, anchors, inputs, kDepth);
}

void bind_knobs(lua_State* L, Signature& knobs, int tensors) {
  for (Signature& entry : knobs.entries) {
    if (entry.kind != Signature::Kind::number || !entry.name) continue;
    lua_getfield(L, tensors, static_cast<const char*>(entry.name));
    if (at::Tensor* tensor = test_tensor(L, lua_gettop(L))) entry.knob = *tensor;
    lua_pop(L, 1);
  }
}

bool matches(lua_State* L, int index, const Signature& signature, Arguments& arguments) {
  const std::size_t first = arguments.inputs.size();
  arguments.inputs.resize(first + count_tensors(signature));
  return match(L, index, signature, arguments, first);
}

}  // namespace gradus
