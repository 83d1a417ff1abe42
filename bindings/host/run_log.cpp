#include "run_log.h"

#include <spdlog/sinks/basic_file_sink.h>
#include <spdlog/spdlog.h>

#include <cstdio>
#include <memory>

#include "host_error.h"

namespace gradus {
namespace {

std::shared_ptr<spdlog::logger> current;

}  // namespace

void open_run_log(const std::string& path) {
  current.reset();
  if (path.empty()) return;
  try {
    auto sink = std::make_shared<spdlog::sinks::basic_file_sink_st>(path);
    current = std::make_shared<spdlog::logger>("run", std::move(sink));
  } catch (const spdlog::spdlog_ex& error) {
    throw HostError(kIo, path + ": the log cannot be opened: " + error.what());
  }
  current->set_pattern("%Y-%m-%dT%H:%M:%S.%e %^%l%$ %v");
  current->set_level(spdlog::level::debug);
  current->flush_on(spdlog::level::info);
  // A full disk, for one: said once, of lines that the terminal and the store have too.
  current->set_error_handler([told = false](const std::string& why) mutable {
    if (!told) std::fprintf(stderr, "warning: the run's log is not whole: %s\n", why.c_str());
    told = true;
  });
}

void write_run_log(const std::string& level, const std::string& text) {
  static const std::pair<const char*, spdlog::level::level_enum> kLevels[] = {{"debug", spdlog::level::debug},
                                                                              {"info", spdlog::level::info},
                                                                              {"warning", spdlog::level::warn},
                                                                              {"error", spdlog::level::err}};
  for (const auto& [name, value] : kLevels) {
    if (level != name) continue;
    if (current) current->log(value, spdlog::string_view_t(text));
    return;
  }
  throw HostError(kUsage, "log: unknown level '" + level + "'; expected debug, info, warning or error");
}

}  // namespace gradus
