// Memory of a plan for what its operators make and nobody keeps.
#pragma once

#include "program.h"

namespace gradus {

// Between which operators each buffer is in use, and whose memory it has: the arena's, an output's own, its operator's.
void measure_lives(Program& p);
// First fit: two buffers share memory only when their lives do not touch.
void lay_out_arena(Program& p);

}  // namespace gradus
