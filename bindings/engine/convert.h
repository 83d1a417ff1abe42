// Values across the border: Lua values <-> LibTorch's IValues, driven by the operator's schema.
#pragma once

#include <lua.hpp>
#include <optional>
#include <string>

#include "boxes.h"
#include "torch.h"

namespace gradus {

// The end of a message about a boolean where values are asked for.
inline constexpr const char* kComparison =
    ", as x == y of two tensors is in Lua; x:eq(y) and x:ne(y) compare their values";

// "float32" <-> kFloat. Empty when no such dtype.
std::optional<at::ScalarType> parse_dtype(const std::string& name);
std::string dtype_name(at::ScalarType type);
std::string dtype_names();  // "float32, float64, … or bool"

// What a Lua value is, for messages: "number 3.5", "string 'mean'", "Tensor [2, 3] float32", "nil", …
std::string describe(lua_State* L, int index);

// Raises where the table at `index` (absolute) has more than its items 1 … length: names beside them, or values after
// a hole, which Lua's length may leave out.
void check_list(lua_State* L, int index, int64_t length);

// Whether a number without a fraction is at `index`, which a double holds exactly.
bool is_integer(lua_State* L, int index, int64_t* value);
// Converts the Lua value at `index` to `type`; empty when the value does not fit. `length` is N of int[N].
std::optional<c10::IValue> to_ivalue(lua_State* L, int index, const c10::Type& type, std::optional<int> length);
// What `to_ivalue` takes for that type, in words: "a Tensor", "a list of integers", …
std::string expected(const c10::Type& type);

// Pushes an operator's result: a Tensor, a list of them, true or false.
void push_ivalue(lua_State* L, c10::IValue value);

}  // namespace gradus
