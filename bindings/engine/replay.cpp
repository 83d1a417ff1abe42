// plan:run(batch, knobs, fn, upvalues, count) -> outputs | nil where the plan was made for others, or an upvalue of the
// step's function is no longer the one in the list.
// plan:scan(batch, knobs, fn, upvalues, count, { from, steps, lists, into, finite }) -> steps done, whether one was not
// finite | nil: as many runs as `steps` says, on rows of stacked tensors (plan.h); lists: of a knob's value at each
// step; into: plan:stacked(n).
#include "replay.h"

#include <memory>

#include "boundary.h"
#include "convert.h"
#include "data.h"
#include "error.h"
#include "signature.h"
#include "step/audit.h"
#include "step/plan.h"

namespace gradus {
namespace {

constexpr const char* kPlanType = "gradus.Plan";

struct LuaPlan {
  std::unique_ptr<Plan> plan;
  std::unique_ptr<Audit> audit;
  StepCall call;
  Arguments arguments;  // of the call that is going on
  std::vector<at::Tensor> outputs;
};

bool upvalues_hold(lua_State* L) {
  const int count = static_cast<int>(lua_tointeger(L, 6));
  for (int i = 1; i <= count; ++i) {
    if (!lua_getupvalue(L, 4, i)) return false;
    lua_rawgeti(L, 5, i);
    const bool same = lua_rawequal(L, -1, -2);
    lua_pop(L, 2);
    if (!same) return false;
  }
  return true;
}

bool read_arguments(lua_State* L, LuaPlan& self) {
  self.arguments.clear();
  return upvalues_hold(L) && matches(L, 2, self.call.batch, self.arguments) &&
         matches(L, 3, self.call.knobs, self.arguments);
}

bool take_arguments(lua_State* L, LuaPlan& self) {
  lua_settop(L, 6);
  if (!read_arguments(L, self)) return false;
  bool fits = false;
  guard(L, "step", [&] {
    fits = self.plan->fits(self.arguments.inputs);
    if (fits) self.arguments.set_knobs();
  });
  return fits;
}

void push_outputs(lua_State* L, LuaPlan& self) {
  if (self.call.single) return push_tensor(L, std::move(self.outputs[0]));
  lua_createtable(L, 0, static_cast<int>(self.call.outputs.size()) + 1);
  std::size_t next = 0;
  for (const StepOutput& output : self.call.outputs) {
    lua_pushstring(L, output.name);
    if (output.constant) {
      lua_rawgeti(L, LUA_REGISTRYINDEX, self.call.anchors);
      lua_rawgeti(L, -1, output.constant);
      lua_remove(L, -2);
    } else {
      push_tensor(L, std::move(self.outputs[next++]));
    }
    lua_rawset(L, -3);
  }
}

int run(lua_State* L) {
  LuaPlan& self = check_object<LuaPlan>(L, 1, kPlanType);
  if (!take_arguments(L, self)) return 0;
  guard(L, "step", [&] { self.plan->run(self.arguments.inputs, self.outputs); });
  self.arguments.clear();
  push_outputs(L, self);
  self.outputs.clear();
  return 1;
}

// Names and tensors of a table, or of a step that returns one tensor: f(place among the outputs, tensor at the top).
template <class F>
void each_output(lua_State* L, const LuaPlan& self, int index, F&& f) {
  std::size_t next = 0;
  if (self.call.single) {
    lua_pushvalue(L, index);
    f(next, nullptr);
    return lua_pop(L, 1);
  }
  for (const StepOutput& output : self.call.outputs) {
    if (output.constant) continue;
    lua_getfield(L, index, output.name);
    f(next++, output.name);
    lua_pop(L, 1);
  }
}

// stacked(n) -> room for the outputs of n steps: a table by name, plain values as they are; or one tensor.
int stacked(lua_State* L) {
  LuaPlan& self = check_object<LuaPlan>(L, 1, kPlanType);
  const int64_t steps = luaL_checkinteger(L, 2);
  guard(L, "step", [&] { self.outputs = self.plan->stacked_outputs(steps); });
  push_outputs(L, self);
  self.outputs.clear();
  return 1;
}

// A knob's values at each step, where the script gave a list.
struct KnobList {
  double* knob;
  std::vector<double> values;
};

std::vector<KnobList> read_lists(lua_State* L, const LuaPlan& self, int lists, int64_t from, int64_t steps) {
  std::vector<KnobList> found;
  for (const Signature& entry : self.call.knobs.entries) {
    if (!entry.name || !entry.knob.defined()) continue;
    lua_getfield(L, lists, static_cast<const char*>(entry.name));
    if (lua_istable(L, -1)) {
      found.push_back({static_cast<double*>(entry.knob.mutable_data_ptr()), {}});
      for (int64_t i = 0; i < steps; ++i) {
        lua_rawgeti(L, -1, static_cast<int>(from + i + 1));
        found.back().values.push_back(lua_tonumber(L, -1));
        lua_pop(L, 1);
      }
    }
    lua_pop(L, 1);
  }
  return found;
}

int64_t integer_field(lua_State* L, int index, const char* name) {
  lua_getfield(L, index, name);
  const int64_t value = lua_tointeger(L, -1);
  lua_pop(L, 1);
  return value;
}

int scan(lua_State* L) {
  LuaPlan& self = check_object<LuaPlan>(L, 1, kPlanType);
  lua_settop(L, 7);
  if (!read_arguments(L, self)) return 0;
  Plan::Scan scan{self.arguments.inputs, {}, integer_field(L, 7, "from"), integer_field(L, 7, "steps"), {}, {}};
  lua_getfield(L, 7, "lists");
  const std::vector<KnobList> lists = read_lists(L, self, lua_gettop(L), scan.from, scan.steps);
  lua_getfield(L, 7, "finite");
  const int finite = lua_gettop(L);
  lua_getfield(L, 7, "into");
  each_output(L, self, lua_gettop(L), [&](std::size_t place, const char* name) {
    if (at::Tensor* into = test_tensor(L, lua_gettop(L))) scan.outputs.push_back(*into);
    if (!name || !lua_istable(L, finite)) return;
    lua_getfield(L, finite, name);
    if (lua_toboolean(L, -1)) scan.finite.push_back(place);
    lua_pop(L, 1);
  });
  Plan::Scanned done{-1, true};
  guard(L, "step", [&] {
    if (scan.outputs.size() != self.plan->recording().outputs.size() || !self.plan->fits(scan)) return;
    self.arguments.set_knobs();
    scan.before = [&](int64_t step) {
      for (const KnobList& list : lists) *list.knob = list.values[static_cast<std::size_t>(step)];
    };
    done = self.plan->run(scan);
  });
  self.arguments.clear();
  if (done.steps < 0) return 0;
  lua_pushinteger(L, static_cast<lua_Integer>(done.steps));
  lua_pushboolean(L, !done.finite);
  return 2;
}

// audit(…, as run) -> true: replays, remembers the outcome, and puts everything back as it was before.
int audit(lua_State* L) {
  LuaPlan& self = check_object<LuaPlan>(L, 1, kPlanType);
  if (!take_arguments(L, self)) return 0;
  guard(L, "step", [&] {
    self.audit = std::make_unique<Audit>(*self.plan);
    self.audit->replay(self.arguments.inputs);
  });
  lua_pushboolean(L, true);
  return 1;
}

// Outputs of an eager call, in the plan's order; empty where there are others.
std::vector<at::Tensor> eager_outputs(lua_State* L, const LuaPlan& self) {
  std::vector<at::Tensor> list;
  if (at::Tensor* single = test_tensor(L, 2)) return {*single};
  for (const StepOutput& output : self.call.outputs) {
    if (output.constant) continue;
    lua_getfield(L, 2, output.name);
    at::Tensor* tensor = test_tensor(L, lua_gettop(L));
    lua_pop(L, 1);
    if (!tensor) return {};
    list.push_back(*tensor);
  }
  return list;
}

// compare(outputs) -> nil, or what differs from the replay, after the step itself was run.
int compare(lua_State* L) {
  LuaPlan& self = check_object<LuaPlan>(L, 1, kPlanType);
  lua_settop(L, 2);
  const std::vector<at::Tensor> outputs = eager_outputs(L, self);
  std::string difference;
  guard(L, "step", [&] {
    difference = self.audit->compare(outputs, [&](std::size_t i) {
      std::size_t tensors = 0;
      for (const StepOutput& output : self.call.outputs)
        if (!output.constant && tensors++ == i) return std::string(output.name);
      return std::string("1");
    });
  });
  self.arguments.clear();
  if (difference.empty()) {
    self.audit.reset();
    return 0;
  }
  lua_pushlstring(L, difference.data(), difference.size());
  return 1;
}

int describe_plan(lua_State* L) {
  const std::string text = check_object<LuaPlan>(L, 1, kPlanType).plan->describe();
  lua_pushlstring(L, text.data(), text.size());
  return 1;
}

constexpr luaL_Reg kPlanMethods[] = {{"run", run},      {"scan", scan},       {"stacked", stacked},
                                     {"audit", audit},  {"compare", compare}, {"describe", describe_plan},
                                     {nullptr, nullptr}};

}  // namespace

void push_plan(lua_State* L, std::unique_ptr<Plan> plan, StepCall& call) {
  push_object(L, kPlanType, [&] {
    auto made = std::make_unique<LuaPlan>();
    made->plan = std::move(plan);
    std::swap(made->call, call);
    return made;
  });
}

void open_plan_type(lua_State* L) { register_type(L, kPlanType, kPlanMethods, &collect_call<LuaPlan>); }

}  // namespace gradus
