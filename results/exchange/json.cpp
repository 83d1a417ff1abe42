#include "json.h"

#include <cmath>
#include <utility>

#include "exported_run.h"
#include "output_file.h"
#include "query/query.h"
#include "utf8.h"

namespace gradus::results {

namespace {

Json json_of(const ExportedParam& param) {
  if (param.type == "boolean" && param.value.index() == 1) return std::get<std::int64_t>(param.value) != 0;
  return to_json(param.value);
}

std::int64_t write_run(Store& store, const ExportedRun& run, OutputFile& out) {
  Json head = Json::object();
  for (const auto& [name, value] : run.columns) head[name] = to_json(value);
  if (head["versions"].is_string()) {
    Json versions = Json::parse(head["versions"].get<std::string>(), nullptr, false);
    if (!versions.is_discarded()) head["versions"] = std::move(versions);
  }
  head["tags"] = Json::object();
  for (const auto& row : store.query("SELECT name, value FROM tags WHERE run_id = ?1 ORDER BY name", {run.id}).rows)
    head["tags"][utf8(text_of(row[0]))] = utf8(text_of(row[1]));
  head["params"] = Json::object();
  for (const ExportedParam& param : run.params) head["params"][utf8(param.key)] = json_of(param);
  std::string text = dump(head);
  text.pop_back();  // the brace: the long parts follow
  out.write(text + ",\n\"metrics\":{");
  std::int64_t values = 0;
  for (std::size_t i = 0; i < run.keys.size(); ++i) {
    out.write((i > 0 ? ",\n" : "\n") + dump(run.keys[i]) + ":[");
    bool first = true;
    for_each_point(store, run.id, run.keys[i], [&](std::int64_t step, double value) {
      const std::string number = std::isfinite(value) ? exact(value) : dump(to_json(value));
      out.write((first ? "[" : ",[") + std::to_string(step) + "," + number + "]");
      first = false;
      ++values;
    });
    out.write("]");
  }
  out.write("},\n\"progress\":[");
  const char* comma = "\n";
  for (const std::vector<Cell>& point : read_progress(store, run.id)) {
    out.write(comma + dump({{"step", to_json(point[0])},
                            {"epoch", to_json(point[1])},
                            {"samples", to_json(point[2])},
                            {"flops", to_json(point[3])},
                            {"seconds", to_json(point[4])}}));
    comma = ",\n";
  }
  out.write("],\n\"events\":[");
  comma = "\n";
  for (const ExportedEvent& event : read_events(store, run.id)) {
    Json detail = event.detail.empty() ? Json() : Json::parse(event.detail, nullptr, false);
    if (detail.is_discarded()) detail = utf8(event.detail);
    out.write(comma + dump({{"step", to_json(event.step)},
                            {"time", event.time},
                            {"kind", utf8(event.kind)},
                            {"name", utf8(event.name)},
                            {"detail", std::move(detail)}}));
    comma = ",\n";
  }
  out.write("]}");
  return values;
}

}  // namespace

Exported export_json(Store& store, const std::vector<std::int64_t>& runs, const std::string& path) {
  Exported done;
  OutputFile out(path);
  out.write("{\"runs\":[");
  for (const std::int64_t id : runs) {
    out.write(done.runs > 0 ? ",\n" : "\n");
    done.values += write_run(store, exported_run(store, id), out);
    ++done.runs;
  }
  out.write("\n]}\n");
  out.finish();
  return done;
}

}  // namespace gradus::results
