// The next thread that is asked for cannot be started.
#pragma once

#include <dlfcn.h>
#include <pthread.h>

#include <atomic>
#include <cerrno>

inline std::atomic<bool> no_thread{false};

// Weak: several files of a program may include this.
extern "C" __attribute__((weak, visibility("default"))) int pthread_create(pthread_t* thread,
                                                                           const pthread_attr_t* attributes,
                                                                           void* (*body)(void*),
                                                                           void* argument) noexcept {
  if (no_thread.exchange(false)) return EAGAIN;
  static const auto real = reinterpret_cast<decltype(&pthread_create)>(dlsym(RTLD_NEXT, "pthread_create"));
  return real(thread, attributes, body, argument);
}
