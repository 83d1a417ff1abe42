// Rows of few classes (kd_loss.h): as many rows as a vector has lanes at a time, one row a lane.
#pragma once

#include "kd_loss.h"

namespace gradus::vectors::GRADUS_ISA {

// Whether narrow_rows is the cheaper way, by the whole problem's shape.
bool is_narrow(const KdRows<float>& problem);
void narrow_rows(const KdRows<float>& problem, int64_t begin, int64_t end);

}  // namespace gradus::vectors::GRADUS_ISA
