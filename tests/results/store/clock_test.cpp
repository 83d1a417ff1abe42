#include "store/clock.h"

#include <gtest/gtest.h>

#include <chrono>
#include <cmath>
#include <thread>

namespace gradus::results {
namespace {

TEST(ClockTest, TimesAsTexts) {
  const std::pair<double, const char*> times[] = {{0, "1970-01-01T00:00:00.000Z"},
                                                  {0.0015, "1970-01-01T00:00:00.001Z"},
                                                  {1767322985.6785, "2026-01-02T03:03:05.678Z"},
                                                  {951827696.999, "2000-02-29T12:34:56.999Z"},
                                                  {-0.25, "1969-12-31T23:59:59.750Z"},
                                                  {-1, "1969-12-31T23:59:59.000Z"},
                                                  {-86400.5, "1969-12-30T23:59:59.500Z"}};
  for (const auto& [seconds, text] : times) {
    EXPECT_EQ(iso_time(seconds), text);
    EXPECT_NEAR(unix_time(text), seconds, 1e-3) << text;
  }
}

TEST(ClockTest, WhatNoTextCanSay) {
  for (const double far : {253402300799.9999, 253402300800.0, 1e300, HUGE_VAL})
    EXPECT_EQ(iso_time(far), "9999-12-31T23:59:59.999Z");
  for (const double far : {-30610224000.0, -30610224000.5, -1e300, -HUGE_VAL})
    EXPECT_EQ(iso_time(far), "1000-01-01T00:00:00.000Z");
  EXPECT_EQ(unix_milliseconds(std::nan("")), 0);
  EXPECT_EQ(unix_milliseconds(-0.0005), -1);
}

TEST(ClockTest, TextsOfOtherToolsAtTheirEdges) {
  EXPECT_EQ(unix_time("1970-01-01T00:00:00"), 0) << "no zone is UTC";
  EXPECT_EQ(unix_time("1970-01-01 00:00:00"), 0);
  EXPECT_EQ(unix_time("1970-01-01T00:00:60Z"), 60) << "a leap second";
  EXPECT_EQ(unix_time("1970-01-01T05:30:00+05:30"), 0);
  EXPECT_EQ(unix_time("1970-01-01T00:00:00-00:45"), 45 * 60);
  EXPECT_EQ(unix_time("1970-01-02T00:00:00+01"), 82800);
  for (const char* text : {"", "1970-01-01", "1970-01-01T00:00", "1970-01-01T00:00:61Z", "1970-01-01T00:00:-1Z",
                           "1970-01-01T00:00:00X", "1970-01-01x00:00:00Z", "nan"})
    EXPECT_TRUE(std::isnan(unix_time(text))) << text;
}

TEST(ClockTest, RunsInSeconds) {
  const double since = monotonic_seconds(), now = unix_seconds();
  std::this_thread::sleep_for(std::chrono::milliseconds(20));
  EXPECT_GE(monotonic_seconds() - since, 0.02);
  EXPECT_LT(monotonic_seconds() - since, 20);
  EXPECT_NEAR(now, static_cast<double>(std::time(nullptr)), 20);
}

}  // namespace
}  // namespace gradus::results
