// `gradus help TOPIC` about what scripts use: from the comments of the standard library (stdlib/help).
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "session.h"

namespace gradus {

// A command's name and CLI11's text about it.
using CommandHelp = std::pair<std::string, std::string>;

// Prints what is known about the topic, an overview when it is empty, or with `all` the whole reference in Markdown. 64 for
// a topic that nobody knows.
int help_command(RunOptions options, const std::string& topic, bool all, const std::vector<CommandHelp>& commands);

}  // namespace gradus
