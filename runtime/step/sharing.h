// Operators that need not run, because what they give can lie where what they take lies.
#pragma once

#include "program.h"

namespace gradus {

// x · 1, as autograd begins with the gradient of a loss, is x: the product's buffer becomes the factor's, and the
// operator, which makes none any more, one that only looks.
void drop_identities(Program& p);
// copy_(place in a flat buffer, what an operator made): the operator can write there at once.
void drop_copies(Program& p);  // after the operators were chosen

}  // namespace gradus
