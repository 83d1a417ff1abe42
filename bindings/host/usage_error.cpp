#include "usage_error.h"

#include <algorithm>
#include <cctype>
#include <climits>
#include <cstdio>

#include "../nearest.h"

namespace gradus {

std::vector<std::string> command_names(const CLI::App& app) {
  std::vector<std::string> names;
  for (const CLI::App* command : app.get_subcommands([](const CLI::App*) { return true; }))
    names.push_back(command->get_name());
  return names;
}

namespace {

std::string suggestion(const std::string& word, const std::vector<std::string>& words) {
  const std::string meant = nearest(word, words);
  return meant.empty() ? "" : "; did you mean '" + meant + "'?";
}

// A misspelt option. Options are short, and some look alike (--sort, --store): at most a quarter of the letters may
// differ.
std::string option_suggestion(const std::string& word, const std::vector<std::string>& options) {
  const std::string meant = nearest(word.substr(std::min<std::size_t>(2, word.size())), options);
  const bool near = meant.starts_with(word.substr(std::min<std::size_t>(2, word.size()))) ||
                    edit_distance(word, "--" + meant) <= std::max<std::size_t>(1, (word.size() - 2) / 4);
  return meant.empty() || !near ? "" : "; did you mean '--" + meant + "'?";
}

const CLI::Option* option_of(const CLI::App& owner, const std::string& name) {
  for (const CLI::Option* option : owner.get_options()) {
    if (option->check_lname(name)) return option;
  }
  return nullptr;
}

// "gradus export csv [RUN…] [OPTIONS]; `gradus help export` lists them".
std::string usage(const CLI::App& owner, const std::string& command) {
  std::string line = "gradus " + command;
  for (const CLI::Option* option : owner.get_options()) {
    if (!option->get_positional()) continue;
    std::string name = option->get_name(true);
    std::transform(name.begin(), name.end(), name.begin(), [](unsigned char c) { return std::toupper(c); });
    if (option->get_expected_max() > 1) name += "…";
    line += option->get_required() ? " " + name : " [" + name + "]";
  }
  return line + " [OPTIONS] (`gradus help " + command.substr(0, command.find(' ')) + "` lists them)";
}

// Parameters of a script as Hydra and argparse take them: temperature=3, --lr 1e-3.
std::string as_parameter(const CLI::App& owner, std::string word) {
  if (!option_of(owner, "set")) return "";
  const bool dashes = word.starts_with("--");
  if (dashes) word = word.substr(2);
  const std::size_t equals = word.find('=');
  if (equals == std::string::npos ? !dashes : equals == 0) return "";
  return "; expected --set " + word + (equals == std::string::npos ? "=…" : "");
}

std::string listed(const std::vector<std::string>& words) {
  std::string list;
  for (const std::string& word : words) list += (list.empty() ? "" : ", ") + word;
  return list;
}

// "0.500000 to 0.999900" and "1 to 2147483647" as people write them.
std::string limits(const std::string& text) {
  double low = 0, high = 0;
  if (std::sscanf(text.c_str(), "%lf to %lf", &low, &high) != 2) return text;
  char words[64];
  if (high >= INT_MAX)
    std::snprintf(words, sizeof words, "a whole number of at least %g", low);
  else
    std::snprintf(words, sizeof words, "%.10g to %.10g", low, high);
  return words;
}

// "--log: x not in {epoch,evaluation}".
std::string choice(const std::string& text) {
  const std::string among = " not in {";
  const std::size_t colon = text.find(": "), in = text.rfind(among);
  if (colon == std::string::npos || in == std::string::npos || in < colon || !text.ends_with('}')) return text;
  std::string words;
  for (const char c : text.substr(in + among.size(), text.size() - in - among.size() - 1))
    words += c == ',' ? ", " : std::string(1, c);
  return text.substr(0, colon) + ": expected one of " + words + "; got '" + text.substr(colon + 2, in - colon - 2) +
         "'";
}

// "--seed: At Most 1 required but received 2", "--set: 1 required TEXT missing", "Could not convert: --json = foo",
// "--sort excludes --best", "--margin requires --versus".
std::string count_in_our_words(const std::string& text) {
  const std::string excludes = " excludes ", requires_ = " requires ";
  if (const std::size_t at = text.find(excludes); at != std::string::npos)
    return text.substr(0, at) + ": expected no " + text.substr(at + excludes.size()) + " beside it";
  if (const std::size_t at = text.find(requires_); at != std::string::npos)
    return text.substr(0, at) + ": has no effect alone; expected " + text.substr(at + requires_.size()) + " beside it";
  const std::size_t colon = text.find(": ");
  int most = 0, got = 0;
  char name[128], given[256];
  if (colon == std::string::npos) return text;
  const std::string words = text.substr(colon + 2), before = text.substr(0, colon + 2);
  if (std::sscanf(words.c_str(), "At Most %d required but received %d", &most, &got) == 2)
    return before + "expected it once; got it " + std::to_string(got) + " times";
  if (words.ends_with(" missing")) return before + "expected a value after it; got none";
  if (std::sscanf(text.c_str(), "Could not convert: %127s = %255[^\n]", name, given) == 2)
    return std::string(name) + ": expected no value; got '" + given + "'";
  return text;
}

// CLI11's sentences about what is missing or out of range, as ours: what is wrong; expected …; got ….
std::string in_our_words(const std::string& text, const std::vector<std::string>& formats, const std::string& command) {
  const std::string required = " is required", value = ": Value ", range = " not in range ";
  if (text.ends_with(required)) {
    const std::string what = text.substr(0, text.size() - required.size());
    if (formats.empty())
      return "no " + what + "; expected one (`gradus help " + command.substr(0, command.find(' ')) + "` tells)";
    return "no format; expected one of " + listed(formats);
  }
  const std::size_t at = text.find(value), in = text.find(range);
  if (at == std::string::npos || in == std::string::npos || in < at) return count_in_our_words(choice(text));
  const std::size_t got = at + value.size();
  return text.substr(0, at) + ": expected " + limits(text.substr(in + range.size())) + "; got " +
         text.substr(got, in - got);
}

const CLI::App* command_of(const CLI::App& owner, const std::string& name) {
  const auto found = owner.get_subcommands([&](const CLI::App* command) { return command->check_name(name); });
  return found.empty() ? nullptr : found.front();
}

}  // namespace

void check_values(const CLI::App& app, int argc, char** argv) {
  const CLI::App* owner = &app;
  std::string command;  // with its own subcommand, before a word of an error
  for (int i = 1; i < argc && std::string(argv[i]) != "--"; ++i) {
    const std::string word = argv[i], name = word.substr(0, word.find('='));
    if (const CLI::App* inner = command_of(*owner, word)) {
      owner = inner;
      command += (command.empty() ? "" : " ") + word;
      continue;
    }
    const CLI::Option* option = word.starts_with('-') ? owner->get_option_no_throw(name) : nullptr;
    if (option == nullptr || option->get_items_expected_max() == 0) continue;
    const bool apart = name.size() == word.size(), may_lack = option->get_items_expected_min() == 0;
    if (apart && (i + 1 == argc || (may_lack && *argv[i + 1] != '\0'))) continue;
    if (apart) ++i;
    const std::string value = apart ? argv[i] : word.substr(name.size() + 1);
    const bool other = apart && value.starts_with('-') && owner->get_option_no_throw(value.substr(0, value.find('=')));
    if (!value.empty() && !other) continue;
    throw HostError(kUsage, command + ": " + name + ": expected a value after it; got " +
                                (other ? "the option '" + value + "'" : "an empty one"));
  }
}

HostError usage_error(const CLI::App& app, const CLI::ParseError& error) {
  auto parsed = app.get_subcommands();
  std::string command;  // with its own subcommand: "export csv"
  while (!parsed.empty()) {
    command += (command.empty() ? "" : " ") + parsed.front()->get_name();
    const auto inner = parsed.front()->get_subcommands();
    if (inner.empty()) break;
    parsed = inner;
  }
  const std::vector<std::string> extra = app.remaining(true);
  if (extra.empty()) {
    const auto formats = parsed.empty() ? std::vector<std::string>{} : command_names(*parsed.front());
    return {kUsage, (command.empty() ? "" : command + ": ") + in_our_words(error.what(), formats, command)};
  }
  const std::string word = extra.front().substr(0, extra.front().find('='));
  if (word.starts_with('-') && word.size() > 1) {
    std::vector<std::string> options;
    const CLI::App& owner = parsed.empty() ? app : *parsed.front();
    for (const CLI::Option* option : owner.get_options())
      for (const std::string& name : option->get_lnames()) options.push_back(name);
    // The command knows it, so it can only have stood before the command.
    if (std::find(options.begin(), options.end(), word.substr(word.starts_with("--") ? 2 : 0)) != options.end())
      return {kUsage, word + ": an option of '" + command + "' before it; expected 'gradus " + command + " " + word +
                          " …'; got 'gradus " + word + " …'"};
    if (const auto formats = command_names(owner); !parsed.empty() && !formats.empty())
      return {kUsage, command + ": no format before '" + word + "'; expected one of " + listed(formats)};
    std::string mend = option_suggestion(word, options);
    if (mend.empty() && !parsed.empty()) mend = as_parameter(owner, extra.front());
    if (mend.empty() && !parsed.empty()) mend = "; expected " + usage(owner, command);
    return {kUsage, (parsed.empty() ? "" : command + ": ") + "unknown option '" + word + "'" + mend};
  }
  if (parsed.empty()) return {kUsage, "unknown command '" + word + "'" + suggestion(word, command_names(app))};
  const std::vector<std::string> inner = command_names(*parsed.front());
  if (!inner.empty()) {
    const std::string meant = suggestion(word, inner);
    return {kUsage, command + ": unknown format '" + word + "'" +
                        (meant.empty() ? "; expected one of " + listed(inner) : meant)};
  }
  const std::string parameter = as_parameter(*parsed.front(), extra.front());
  return {kUsage, command + ": unexpected argument '" + extra.front() + "'" +
                      (parameter.empty() ? "; expected " + usage(*parsed.front(), command) : parameter)};
}

}  // namespace gradus
