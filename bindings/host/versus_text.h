// What `gradus compare --versus` prints: differences to a baseline, how sure they are, and what would decide open ones.
#pragma once

#include <string>

#include "query/query.h"

namespace gradus {

std::string versus_text(const results::Json& compared);  // pair by pair of one seed

}  // namespace gradus
