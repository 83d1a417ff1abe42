// A Plan as a value in Lua: a recorded step that is replayed (runtime/step/plan.h).
#pragma once

#include <lua.hpp>
#include <memory>
#include <vector>

#include "data.h"
#include "signature.h"
#include "step/plan.h"

namespace gradus {

struct StepOutput {
  const char* name;  // an interned string, kept by `anchors`
  int constant;      // place in `anchors` of a plain value; 0: a tensor
};

// What belongs to a recording in Lua: the shape of the call and of its results.
struct StepCall {
  Signature batch, knobs;
  std::vector<StepOutput> outputs;
  bool single = false;      // the step returns one tensor
  int anchors = LUA_NOREF;  // a Lua table that keeps what is compared by address
};

// Pushes a Plan that was recorded of this call, which it takes.
void push_plan(lua_State* L, std::unique_ptr<Plan> plan, StepCall& call);
void open_plan_type(lua_State* L);  // registers the metatable

// __gc of an object with a call.
template <class T>
int collect_call(lua_State* L) {
  T** box = static_cast<T**>(lua_touserdata(L, 1));
  if (*box) luaL_unref(L, LUA_REGISTRYINDEX, (*box)->call.anchors);
  return collect_object<T>(L);
}

}  // namespace gradus
