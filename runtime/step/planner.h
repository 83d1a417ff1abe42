// Makes of a recorded step what a Plan runs: dead operators are dropped, operators with an out-variant write where the
// value is wanted, copies are left out, and what is made in between has its place in an arena.
#pragma once

#include "program.h"

namespace gradus {

Program make_program(Recording recording);

}  // namespace gradus
