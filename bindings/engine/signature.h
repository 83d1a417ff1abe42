// The form of a step's arguments: which names, which are tensors, what the plain values are. A plan is for one form.
#pragma once

#include <lua.hpp>
#include <vector>

#include "torch.h"

namespace gradus {

struct Signature {
  enum class Kind { none, tensor, number, boolean, object, table };
  Kind kind = Kind::none;
  const void* name = nullptr;  // address of the key, an interned string; null for the number `place`
  double place = 0;
  double number = 0;             // number, boolean
  const void* object = nullptr;  // string, function, …: by address
  at::Tensor knob;               // a number that may change from call to call goes here
  std::vector<Signature> entries;
};

// What a call brings.
struct Arguments {
  std::vector<at::Tensor> inputs;
  std::vector<std::pair<double*, double>> knobs;
  void clear() {
    inputs.clear();
    knobs.clear();
  }
  void set_knobs() const {
    for (const auto& [to, value] : knobs) *to = value;
  }
};

// Puts the value at `index` into the table of anchors, so that its address stays its own; returns its place there.
int anchor(lua_State* L, int anchors, int index);

// The form of the value at `index`, with the tensors in it appended to `inputs`.
Signature read_signature(lua_State* L, int index, int anchors, std::vector<at::Tensor>& inputs);

// Numbers among the knobs may change: each is written to the 0-dim float64 tensor of its name in the table at
// `tensors`.
void bind_knobs(lua_State* L, Signature& knobs, int tensors);

// Whether the value at `index` has this form; fills `arguments` as far as it has.
bool matches(lua_State* L, int index, const Signature& signature, Arguments& arguments);

}  // namespace gradus
