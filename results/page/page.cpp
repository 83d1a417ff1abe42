#include "page.h"

#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <charconv>

#include "error.h"
#include "query/diff.h"
#include "query/lineage.h"

struct Embedded {
  const char* name;
  const char* begin;
  const char* end;
};
extern "C" const Embedded gradus_embedded_page[];
extern "C" const Embedded gradus_embedded_d3[];

namespace gradus::results {

std::string_view page_asset(const std::string& name) {
  for (const Embedded* table : {gradus_embedded_page, gradus_embedded_d3}) {
    for (; table->name != nullptr; ++table) {
      if (name == table->name) return {table->begin, static_cast<std::size_t>(table->end - table->begin)};
    }
  }
  return {};
}

std::string PageQuery::text(const std::string& name) const {
  const auto found = values_.find(name);
  return found == values_.end() ? "" : found->second;
}

std::string PageQuery::required(const std::string& name) const {
  if (!has(name)) throw Error(Exit::usage, name + ": missing");
  return text(name);
}

namespace {

std::int64_t whole(const std::string& name, const std::string& text, std::int64_t low, std::int64_t high) {
  std::int64_t value = 0;
  const auto [end, code] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (code != std::errc() || end != text.data() + text.size() || value < low || value > high) {
    throw Error(Exit::usage, name + ": expected a whole number from " + std::to_string(low) + " to " +
                                 std::to_string(high) + "; got '" + text.substr(0, 40) + "'");
  }
  return value;
}

Answer json(const Json& value, int status = 200) { return {status, "application/json", dump(value)}; }

Answer asset(const std::string& name) {
  const std::string_view bytes = page_asset(name);
  if (bytes.empty()) return json({{"error", "not found"}}, 404);
  const std::string end = name.substr(name.rfind('.') + 1);
  const char* type = end == "html"  ? "text/html; charset=utf-8"
                     : end == "css" ? "text/css; charset=utf-8"
                     : end == "svg" ? "image/svg+xml"
                                    : "text/javascript; charset=utf-8";
  return {200, type, std::string(bytes)};
}

Json source(Store& store, const PageQuery& query) {
  const Rows rows = store.query("SELECT text FROM sources WHERE sha256 = ?1", {query.required("sha256")});
  if (rows.rows.empty()) throw Error(Exit::missing, "source: not found");
  return {{"text", to_json(rows.rows[0][0])}};
}

Answer api(Store& store, const std::string& path, const PageQuery& query) {
  if (path == "/api/runs") return {200, "application/json", page_runs(store, query)};
  if (path == "/api/run") return json(page_run(store, query));
  if (path == "/api/source") return json(source(store, query));
  if (path == "/api/log") return json(page_log(store, query));
  if (path == "/api/artifact") return page_artifact(store, query);
  if (path == "/api/curves") return {200, "application/octet-stream", page_curves(store, query)};
  if (path == "/api/bands") return json(page_bands(store, query));
  if (path == "/api/axis") return json(page_axis(store, query));
  if (path == "/api/stages") return json(page_stages(store, query));
  if (path == "/api/lineage") return json(family_of(store, store.resolve(query.required("run"))));
  if (path == "/api/diff") return json(diff_runs(store, query.required("a"), query.required("b")));
  if (path == "/api/compare") return json(page_compare(store, query));
  return json({{"error", "not found"}}, 404);
}

Answer answered(Store& store, const std::string& path, const std::map<std::string, std::string>& values) {
  try {
    if (path.starts_with("/api/")) return api(store, path, PageQuery(values));
    return asset(path == "/" ? "index.html" : path.substr(path.empty() ? 0 : 1));
  } catch (const Error& error) {
    const int status = error.code == Exit::missing ? 404 : error.code == Exit::usage ? 400 : 500;
    return json({{"error", error.what()}}, status);
  } catch (const std::bad_alloc&) {
    throw;
  } catch (const std::exception& error) {
    return json({{"error", error.what()}}, 500);
  }
}

}  // namespace

std::int64_t PageQuery::integer(const std::string& name, std::int64_t fallback, std::int64_t low,
                                std::int64_t high) const {
  return has(name) ? whole(name, text(name), low, high) : fallback;
}

std::vector<std::string> PageQuery::list(const std::string& name, std::size_t longest) const {
  std::vector<std::string> items;
  const std::string all = text(name);
  for (std::size_t begin = 0; begin < all.size();) {
    const std::size_t end = std::min(all.find(',', begin), all.size());
    if (end > begin) items.push_back(all.substr(begin, end - begin));
    begin = end + 1;
  }
  if (items.size() > longest)
    throw Error(Exit::usage,
                name + ": expected at most " + std::to_string(longest) + "; got " + std::to_string(items.size()));
  return items;
}

std::vector<std::int64_t> PageQuery::ids(const std::string& name, std::size_t longest, std::int64_t low) const {
  std::vector<std::int64_t> ids;
  for (const std::string& item : list(name, longest)) ids.push_back(whole(name, item, low, INT64_MAX));
  return ids;
}

Answer Page::get(const std::string& path, const std::map<std::string, std::string>& values) {
  try {
    return answered(*store_, path, values);
  } catch (const std::exception&) {
    return {503, "text/plain", "out of memory\n"};  // short enough for texts that need none
  }
}

int open_beneath(const std::string& folder, const std::string& path) {
  if (path.empty() || path.find('\0') != std::string::npos) return -1;
  const int root = ::open(folder.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC);
  if (root < 0) return -1;
  struct open_how how = {};
  how.flags = O_RDONLY | O_CLOEXEC | O_NONBLOCK;  // a pipe in the folder must not hold us
  how.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS;
  int file = static_cast<int>(::syscall(SYS_openat2, root, path.c_str(), &how, sizeof how));
  ::close(root);
  struct stat status;
  if (file >= 0 && (::fstat(file, &status) != 0 || !S_ISREG(status.st_mode))) {
    ::close(file);
    return -1;
  }
  return file;
}

}  // namespace gradus::results
