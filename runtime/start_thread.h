// A thread, or the reason why the system gives none.
#pragma once

#include <string>
#include <system_error>
#include <thread>
#include <utility>

#include "error.h"

namespace gradus {

// Error (io): "where: cannot start a thread; got …".
template <class F>
std::thread start_thread(const std::string& where, F&& body) {
  try {
    return std::thread(std::forward<F>(body));
  } catch (const std::system_error& error) {
    throw Error(Exit::io, where + ": cannot start a thread; got " + error.what());
  }
}

}  // namespace gradus
