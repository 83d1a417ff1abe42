// What an event tells, for people.
#pragma once

#include <string>

#include "query.h"

namespace gradus::results {

// "rule any(val/loss flat for 3 evaluations, 0.3 progress), val/loss 0.4530, to medium": names and values, those of
// tables within tables among them, few digits, hashes cut short. "" for null and for text that is no JSON.
std::string in_words(const Json& detail);

}  // namespace gradus::results
