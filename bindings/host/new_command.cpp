#include "new_command.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "../nearest.h"
#include "host_error.h"

extern "C" {
struct EmbeddedTemplate {
  const char* name;
  const char* begin;
  const char* end;
};
extern const EmbeddedTemplate gradus_embedded_templates[];
}

namespace gradus {
namespace {

struct NewOptions {
  std::string name, kind = "distill";
};

std::vector<std::string> kinds() {
  std::vector<std::string> names;
  for (const EmbeddedTemplate* one = gradus_embedded_templates; one->name; ++one)
    names.push_back(std::filesystem::path(one->name).stem().string());
  std::sort(names.begin(), names.end());
  return names;
}

std::string template_of(const std::string& kind) {
  for (const EmbeddedTemplate* one = gradus_embedded_templates; one->name; ++one)
    if (std::filesystem::path(one->name).stem() == kind) return {one->begin, one->end};
  const std::string meant = nearest(kind, kinds());
  std::string list;
  for (const std::string& name : kinds()) list += (list.empty() ? "" : ", ") + name;
  throw HostError(kUsage, "new: no template '" + kind + "'; " +
                              (meant.empty() ? "expected one of " + list : "did you mean '" + meant + "'?"));
}

// What an experiment may be called (stdlib/experiment/experiment.lua).
void check_name(const std::string& name) {
  const bool good = !name.empty() && name.size() <= 100 && name.front() != '-' && name.front() != '.' &&
                    std::all_of(name.begin(), name.end(),
                                [](unsigned char c) { return std::isalnum(c) || std::strchr("_-.", c) != nullptr; });
  if (!good)
    throw HostError(kUsage, "new: NAME: expected 1 to 100 letters, digits, '_', '-' or '.'; got '" + name + "'");
}

void replace_all(std::string& text, const std::string& what, const std::string& with) {
  for (std::size_t at = text.find(what); at != std::string::npos; at = text.find(what, at + with.size()))
    text.replace(at, what.size(), with);
}

// Never over a file that is there.
void write_new(const std::string& path, const std::string& text) {
  const int fd = open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
  if (fd < 0 && errno == EEXIST) throw HostError(kUsage, "new: " + path + " is there already; expected another name");
  std::FILE* file = fd < 0 ? nullptr : fdopen(fd, "w");
  if (!file) throw HostError(kIo, "new: " + path + " cannot be written: " + std::strerror(errno));
  const bool good = std::fwrite(text.data(), 1, text.size(), file) == text.size();
  if (std::fclose(file) == 0 && good) return;
  const std::string reason = std::strerror(errno);
  std::filesystem::remove(path);  // nobody's half a script
  throw HostError(kIo, "new: " + path + " cannot be written: " + reason);
}

void new_command(const NewOptions& options) {
  std::filesystem::path path = options.name;
  if (path.extension() != ".lua") path += ".lua";
  const std::string name = path.stem().string();
  check_name(name);
  std::string text = template_of(options.kind);
  replace_all(text, "NAME", name);
  write_new(path.string(), text);
  std::printf(
      "%s is written, from the template %s.\n  gradus check %s    two steps of each stage\n  gradus run %s      all "
      "its runs\n",
      path.c_str(), options.kind.c_str(), path.c_str(), path.c_str());
}

}  // namespace

void add_new_command(CLI::App& app) {
  auto options = std::make_shared<NewOptions>();
  CLI::App* command = app.add_subcommand("new", "Write a script to start from");
  std::string list;
  for (const std::string& kind : kinds()) list += (list.empty() ? "" : ", ") + kind;
  command->add_option("NAME", options->name, "Name of the experiment; NAME.lua is written")->required();
  command->add_option("--template", options->kind, list + " (default: distill)");
  command->callback([options] { new_command(*options); });
}

}  // namespace gradus
