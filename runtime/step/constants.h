// Which of a step's values are the same in every call.
#pragma once

#include "record.h"

namespace gradus {

// Operators of constants alone have the same outcome in every call, which is at hand: their results become constants. Outputs and
// gradients do not.
void find_constants(Recording& recording);

}  // namespace gradus
