// What time it is, for what lasts and for what is dated, and dates as texts: ISO-8601, which is how the store keeps
// them.
#pragma once

#include <cstdint>
#include <string>

namespace gradus::results {

double monotonic_seconds();
double unix_seconds();

// Whole ones, rounded down, within the years 1000 to 9999, which is what texts can say; 0 of NaN.
std::int64_t unix_milliseconds(double unix_seconds);
std::string iso_time(double unix_seconds);  // UTC with milliseconds: "2026-01-02T03:04:05.678Z"
// Of such a text, or of another tool's with a zone of its own or none; NaN when it is none.
double unix_time(const std::string& iso);

}  // namespace gradus::results
