// What the recording of a step has to know of operators that their schemas do not say.
#pragma once

#include <string>
#include <vector>

#include "torch.h"

namespace gradus {

std::string name_of(const c10::OperatorHandle& op);  // "aten::add", without the overload

// Operators that return no tensor, but say something about shapes and types only.
bool tells_shapes(const std::string& name);
// Arguments that an operator changes without saying so in its schema.
std::vector<int> hidden_writes(const std::string& name);
// Operators whose result depends on their operands' shapes only.
bool depends_on_shapes(const std::string& name);
// empty() and its like: memory is all that they give.
bool starts_unwritten(const std::string& name);
// The shape of the result depends on the values of the arguments. Indices that are no masks keep it fixed.
bool has_dynamic_shape(const c10::OperatorHandle& op, const torch::jit::Stack& arguments);

bool is_write(const c10::Argument& argument);  // by its schema

}  // namespace gradus
