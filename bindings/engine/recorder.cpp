// start(batch, knobs, tensors) -> Recorder; recorder:finish(outputs) -> Plan | nil, why; recorder:abort().
#include "recorder.h"

#include <memory>
#include <string>
#include <vector>

#include "../user_line.h"
#include "boundary.h"
#include "convert.h"
#include "error.h"
#include "replay.h"
#include "signature.h"
#include "step/record.h"

namespace gradus {
namespace {

constexpr const char* kRecorderType = "gradus.Recorder";

struct LuaRecorder {
  std::unique_ptr<Recorder> recorder;
  StepCall call;
  std::vector<at::Tensor> outputs;
};

int start(lua_State* L) {
  lua_settop(L, 3);
  push_object(L, kRecorderType, [] { return std::make_unique<LuaRecorder>(); });
  LuaRecorder& self = check_object<LuaRecorder>(L, 4, kRecorderType);
  lua_newtable(L);
  const int anchors = lua_gettop(L);
  std::vector<at::Tensor> inputs;
  self.call.batch = read_signature(L, 1, anchors, inputs);
  self.call.knobs = read_signature(L, 2, anchors, inputs);
  if (lua_istable(L, 3)) bind_knobs(L, self.call.knobs, 3);
  self.call.anchors = luaL_ref(L, LUA_REGISTRYINDEX);
  guard(L, "step", [&] {
    for (const at::Tensor& input : inputs)
      if (!input.defined()) throw Error(Exit::data, "a tensor was used after release()");
    self.recorder = std::make_unique<Recorder>(std::move(inputs), [L] { return user_line(L); });
  });
  return 1;
}

// Reads the outputs' names; tensors must be at the top level.
std::string read_outputs(lua_State* L, LuaRecorder& self) {
  if (at::Tensor* tensor = test_tensor(L, 2)) {
    self.call.single = true;
    self.outputs.push_back(*tensor);
    return "";
  }
  lua_rawgeti(L, LUA_REGISTRYINDEX, self.call.anchors);
  const int anchors = lua_gettop(L);
  for (lua_pushnil(L); lua_next(L, 2); lua_pop(L, 1)) {
    if (lua_type(L, -2) != LUA_TSTRING) return "an output has no name";
    const std::string name = lua_tostring(L, -2);
    anchor(L, anchors, -2);
    if (at::Tensor* tensor = test_tensor(L, lua_gettop(L))) {
      self.call.outputs.push_back({lua_tostring(L, -2), 0});
      self.outputs.push_back(*tensor);
    } else if (lua_isnumber(L, -1) || lua_isstring(L, -1) || lua_isboolean(L, -1)) {
      self.call.outputs.push_back({lua_tostring(L, -2), anchor(L, anchors, -1)});
    } else {
      return "output '" + name + "' is a " + luaL_typename(L, -1);
    }
  }
  return "";
}

int finish(lua_State* L) {
  LuaRecorder& self = check_object<LuaRecorder>(L, 1, kRecorderType);
  lua_settop(L, 2);
  std::string problem = self.recorder->problem().empty() ? read_outputs(L, self) : "";
  if (!problem.empty()) self.recorder->cannot(problem);
  bool good = false;
  std::unique_ptr<Plan> plan;
  guard(L, "step", [&] {
    good = self.recorder->finish(self.outputs);
    if (good) plan = std::make_unique<Plan>(self.recorder->take());
    problem = self.recorder->problem();
    self.outputs.clear();
    self.recorder.reset();
  });
  if (!good) {
    lua_pushnil(L);
    lua_pushlstring(L, problem.data(), problem.size());
    return 2;
  }
  push_plan(L, std::move(plan), self.call);
  return 1;
}

int abort_recording(lua_State* L) {
  check_object<LuaRecorder>(L, 1, kRecorderType).recorder.reset();
  return 0;
}

int cannot(lua_State* L) {
  if (Recorder* recorder = Recorder::current()) recorder->cannot(luaL_checkstring(L, 1));
  return 0;
}

constexpr luaL_Reg kRecorderMethods[] = {{"finish", finish}, {"abort", abort_recording}, {nullptr, nullptr}};

}  // namespace

void open_record(lua_State* L) {
  register_type(L, kRecorderType, kRecorderMethods, &collect_call<LuaRecorder>);
  open_plan_type(L);
  constexpr luaL_Reg functions[] = {{"start", start}, {"cannot", cannot}, {nullptr, nullptr}};
  lua_newtable(L);
  luaL_register(L, nullptr, functions);
}

}  // namespace gradus
