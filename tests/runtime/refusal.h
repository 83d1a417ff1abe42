// What a call is refused with.
#pragma once

#include <gtest/gtest.h>

#include <functional>
#include <string>

#include "error.h"

namespace gradus {

inline std::string refusal(const std::function<void()>& run, Exit code = Exit::data) {
  try {
    run();
  } catch (const Error& error) {
    EXPECT_EQ(error.code, code) << error.what();
    return error.what();
  }
  return "accepted";
}

}  // namespace gradus
