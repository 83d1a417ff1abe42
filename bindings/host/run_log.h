// The run's log file: one line per message, with time and level, by spdlog. One file at a time per process.
#pragma once

#include <string>

namespace gradus {

void open_run_log(const std::string& path);  // appends; throws HostError (io); "" closes
// level: debug, info, warning or error, else HostError (usage). Without an open log the message is dropped.
void write_run_log(const std::string& level, const std::string& text);

}  // namespace gradus
