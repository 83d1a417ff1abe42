#include "session.h"

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <utility>

#include "../nearest.h"
#include "host_error.h"
#include "store/sha256.h"

struct EmbeddedFile {
  const char* name;
  const char* begin;
  const char* end;
};
extern "C" const EmbeddedFile gradus_embedded_stdlib[];

namespace gradus {
namespace fs = std::filesystem;
namespace {

constexpr std::size_t kMaxSource = std::size_t{64} << 20;

std::string read_all(std::FILE* file, const std::string& path) {
  std::string text;
  char buffer[1 << 16];
  std::size_t count;
  while ((count = std::fread(buffer, 1, sizeof buffer, file)) > 0) {
    text.append(buffer, count);
    if (text.size() > kMaxSource) throw HostError(kData, path + ": too long for a Lua source; expected at most 64 MiB");
  }
  if (std::ferror(file)) throw HostError(kIo, path + ": cannot be read: " + std::strerror(errno));
  return text;
}

// The file that a misspelt path meant, of those in the same folder.
std::string did_you_mean(const std::string& path) {
  const fs::path wanted(path);
  const fs::path folder = wanted.parent_path();
  std::vector<std::string> names;
  std::error_code ignored;
  for (const auto& entry : fs::directory_iterator(folder.empty() ? fs::path(".") : folder, ignored))
    if (entry.path().extension() == ".lua") names.push_back(entry.path().filename());
  std::string best = nearest(wanted.filename().string(), names);
  if (best.empty()) best = nearest(wanted.filename().string() + ".lua", names);
  return best.empty() ? "" : "; did you mean '" + (folder / best).string() + "'?";
}

// Chunk names that begin with stdlib/ are the standard library's alone.
std::string shown_path(const std::string& path) { return path.starts_with("stdlib/") ? "./" + path : path; }

}  // namespace

std::string read_source_text(const std::string& path) {
  std::error_code status;
  if (fs::is_directory(path, status)) throw HostError(kMissing, path + ": is a folder; expected a Lua script");
  std::FILE* file = std::fopen(path.c_str(), "rb");
  if (!file) {
    const int reason = errno;
    if (reason == ENOENT) throw HostError(kMissing, path + ": no such file" + did_you_mean(path));
    throw HostError(kMissing, path + ": cannot be opened: " + std::strerror(reason));
  }
  const std::unique_ptr<std::FILE, int (*)(std::FILE*)> closer(file, std::fclose);
  return read_all(file, path);
}

bool is_bytecode(std::string_view text) {
  if (text.starts_with("\xef\xbb\xbf")) text.remove_prefix(3);
  if (text.starts_with('#')) {
    const auto end = text.find_first_of("\r\n");
    text.remove_prefix(end == std::string_view::npos ? text.size() : end);
    while (!text.empty() && (text.front() == '\r' || text.front() == '\n')) text.remove_prefix(1);
  }
  return text.starts_with('\x1b');
}

const std::string* Stdlib::find(const std::string& file) {
  auto [place, is_new] = texts_.try_emplace(file);
  if (is_new) {
    if (dir_.empty()) {
      for (const EmbeddedFile* e = gradus_embedded_stdlib; e->name; ++e)
        if (file == e->name) place->second.emplace(e->begin, e->end);
    } else if (fs::exists(fs::path(dir_) / file)) {
      place->second = read_source_text((fs::path(dir_) / file).string());
    }
  }
  return place->second ? &*place->second : nullptr;
}

std::vector<std::string> Stdlib::files() const {
  std::vector<std::string> names;
  if (dir_.empty()) {
    for (const EmbeddedFile* e = gradus_embedded_stdlib; e->name; ++e) names.emplace_back(e->name);
  } else {
    for (const auto& entry : fs::recursive_directory_iterator(dir_))
      if (entry.path().extension() == ".lua") names.push_back(fs::relative(entry.path(), dir_).string());
  }
  std::sort(names.begin(), names.end());
  return names;
}

std::string Stdlib::hash() {
  if (!hash_.empty()) return hash_;
  std::string all;
  for (const std::string& name : files()) all += name + '\0' + sha256(*find(name)) + '\n';
  return hash_ = sha256(all);
}

Session::Session(RunOptions given) : options(std::move(given)), stdlib(options.stdlib_dir) {
  if (!options.stdlib_dir.empty() && !fs::is_directory(options.stdlib_dir))
    throw HostError(kMissing, "--stdlib: no folder '" + options.stdlib_dir + "'");
}

const Source& Session::read_script(const std::string& path) {
  Source source;
  if (path == "-") {
    source.path = "stdin";
    source.text = read_all(stdin, "standard input");
  } else {
    source.path = shown_path(path);
    source.text = read_source_text(path);
    script_dir_ = fs::path(path).parent_path().string();
    std::error_code ignored;
    const bool linked = fs::is_symlink(path, ignored);
    real_dir_ = linked ? fs::canonical(path, ignored).parent_path().string() : script_dir_;
  }
  source.sha256 = sha256(source.text);
  script_ = std::make_unique<Source>(std::move(source));
  return *script_;
}

void Session::read_again() {
  auto now = std::make_unique<Source>(Source{script_->path, read_source_text(options.script), ""});
  now->sha256 = sha256(now->text);
  before_.push_back({std::exchange(script_, std::move(now)), std::exchange(modules_, {})});
}

void Session::put_back_sources() {
  Version before = std::move(before_.back());
  before_.pop_back();
  left_.push_back(std::exchange(script_, std::move(before.script)));
  for (auto& [name, source] : modules_) left_.push_back(std::move(source));
  modules_ = std::move(before.modules);
}

std::vector<std::string> Session::user_module_paths(const std::string& name) const {
  std::string relative = name;
  std::replace(relative.begin(), relative.end(), '.', '/');
  std::vector<std::string> paths;
  std::vector<fs::path> folders = {script_dir_};
  if (real_dir_ != script_dir_) folders.emplace_back(real_dir_);
  if (options.is_spec) folders.push_back(fs::path(script_dir_).parent_path());
  for (const fs::path& folder : folders) {
    const fs::path base = folder / relative;
    paths.push_back(base.string() + ".lua");
    paths.push_back((base / "init.lua").string());
  }
  return paths;
}

std::vector<std::string> Session::user_module_names() const {
  std::vector<std::string> names;
  std::error_code ignored;
  for (const std::string& folder : {script_dir_, real_dir_})
    for (const auto& entry : fs::directory_iterator(folder.empty() ? "." : folder, ignored))
      if (entry.path().extension() == ".lua") names.push_back(entry.path().stem());
  return names;
}

const Source* Session::user_module(const std::string& name) {
  // Names are identifiers joined by dots, so that no name leaves the script's folder.
  if (name.empty() || name.front() == '.' || name.find("..") != std::string::npos ||
      name.find_first_of("/\\\0", 0, 3) != std::string::npos)
    return nullptr;
  auto [place, is_new] = modules_.try_emplace(name);
  if (is_new) {
    for (const std::string& path : user_module_paths(name)) {
      std::error_code ignored;
      if (!fs::is_regular_file(path, ignored)) continue;
      auto source = std::make_unique<Source>();
      source->path = shown_path(path);
      source->text = read_source_text(path);
      source->sha256 = sha256(source->text);
      place->second = std::move(source);
      break;
    }
  }
  return place->second.get();
}

const Source& Session::read_file(const std::string& path) {
  std::string text = read_source_text(path);
  std::string hash = sha256(text), shown = shown_path(path);
  for (const auto& known : files_)
    if (known->path == shown && known->sha256 == hash) return *known;
  files_.push_back(std::make_unique<Source>(Source{std::move(shown), std::move(text), std::move(hash)}));
  return *files_.back();
}

const std::optional<GitState>& Session::git() {
  if (!git_) git_ = read_git_state(real_dir_.empty() ? "." : real_dir_, options.store);
  return *git_;
}

}  // namespace gradus
