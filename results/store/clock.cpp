#include "clock.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <ctime>
#include <limits>

namespace gradus::results {

double monotonic_seconds() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

double unix_seconds() {
  return std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count();
}

std::int64_t unix_milliseconds(double unix_seconds) {
  constexpr double kFirst = -30610224000000, kLast = 253402300799999;
  return std::isnan(unix_seconds)
             ? 0
             : static_cast<std::int64_t>(std::clamp(std::floor(unix_seconds * 1000), kFirst, kLast));
}

std::string iso_time(double unix_seconds) {
  const std::int64_t milliseconds = unix_milliseconds(unix_seconds);
  const std::int64_t rest = (milliseconds % 1000 + 1000) % 1000;  // before 1970, too
  const auto seconds = static_cast<std::time_t>((milliseconds - rest) / 1000);
  std::tm utc{};
  gmtime_r(&seconds, &utc);
  char text[40];
  std::snprintf(text, sizeof text, "%04d-%02d-%02dT%02d:%02d:%02d.%03dZ", utc.tm_year + 1900, utc.tm_mon + 1,
                utc.tm_mday, utc.tm_hour, utc.tm_min, utc.tm_sec, static_cast<int>(rest));
  return text;
}

double unix_time(const std::string& iso) {
  std::tm utc{};
  double seconds = 0;
  char zone = 'Z';
  int hours = 0, minutes = 0;
  const int parts = std::sscanf(iso.c_str(), "%4d-%2d-%2d%*1[T ]%2d:%2d:%lf%c%2d:%2d", &utc.tm_year, &utc.tm_mon,
                                &utc.tm_mday, &utc.tm_hour, &utc.tm_min, &seconds, &zone, &hours, &minutes);
  if (parts < 6 || !(seconds >= 0 && seconds < 61) || (zone != 'Z' && zone != '+' && zone != '-'))
    return std::numeric_limits<double>::quiet_NaN();
  utc.tm_year -= 1900;
  utc.tm_mon -= 1;
  const int offset = zone == 'Z' ? 0 : (zone == '+' ? 60 : -60) * (60 * hours + minutes);
  return static_cast<double>(timegm(&utc)) - offset + seconds;
}

}  // namespace gradus::results
