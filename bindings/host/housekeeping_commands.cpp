#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <iostream>
#include <memory>

#include "commands.h"
#include "error.h"
#include "exchange/merge.h"
#include "output.h"
#include "query/direction.h"
#include "query/names.h"
#include "query/table.h"
#include "store/housekeeping.h"

namespace gradus {
namespace {

using namespace results;

struct Options {
  std::vector<std::string> runs, stores;
  std::string run, tag, note;
  RunFilter filter;
  GcOptions gc;
  bool json = false, yes = false, undo = false, remove = false, compact = false;
};

std::string bytes_text(const Json& bytes) {
  double size = bytes.get<double>();
  const char* unit = "bytes";
  for (const char* next : {"KiB", "MiB", "GiB", "TiB"}) {
    if (size < 1024) break;
    size /= 1024;
    unit = next;
  }
  return number(size) + " " + unit;
}

std::string count_text(std::size_t count, const char* noun, const char* several = nullptr) {
  const std::string one = std::to_string(count) + " " + (count != 1 && several != nullptr ? several : noun);
  return count == 1 || several != nullptr ? one : one + "s";
}

// Runs named on the command line, and those that --where finds.
std::vector<std::int64_t> chosen(Store& store, Options& options, const char* command) {
  std::vector<std::int64_t> ids;
  for (const std::string& run : options.runs) ids.push_back(store.resolve(run));
  // All runs is an answer to a question, not what is to be deleted because a shell's variable was empty.
  if (options.filter.where.find_first_not_of(" \t\r\n") != std::string::npos) {
    std::vector<std::string> notes;
    options.filter.notes = &notes;
    options.filter.metrics.emplace();
    options.filter.archived = true;
    for (const Json& run : list_runs(store, options.filter)) ids.push_back(run["id"]);
    print_notes(notes);
  } else if (ids.empty()) {
    throw Error(Exit::usage, std::string(command) + ": expected a RUN or --where EXPR");
  }
  std::sort(ids.begin(), ids.end());
  ids.erase(std::unique(ids.begin(), ids.end()), ids.end());
  return ids;
}

// True when the user agrees; without a terminal only --yes is an answer.
bool agreed(const Options& options, const std::string& question) {
  if (options.yes) return true;
  if (::isatty(STDIN_FILENO) == 0)
    throw Error(Exit::usage, question + " expected --yes where nobody can be asked; nothing was removed");
  std::fprintf(stderr, "%s [y/N] ", question.c_str());
  std::string answer;
  std::getline(std::cin, answer);
  return answer == "y" || answer == "Y" || answer == "yes";
}

void done(const Options& options, const Json& json, const std::string& text) {
  options.json ? print_json(json) : print(text + "\n");
}

void tag_command(Store& store, Options& options) {
  const std::int64_t id = store.resolve(options.run);
  const std::size_t equals = options.tag.find('=');
  const std::string name = options.tag.substr(0, equals);
  const std::string value = equals == std::string::npos ? "" : options.tag.substr(equals + 1);
  const std::string run = "run " + std::to_string(id);
  if (options.remove) {
    if (!remove_tag(store, id, name)) throw Error(Exit::missing, "tag: " + run + " has no tag '" + name + "'");
    return done(options, {{"run", id}, {"removed", name}}, run + ": tag " + name + " removed");
  }
  set_tag(store, id, name, value);
  done(options, {{"run", id}, {"tag", name}, {"value", value}},
       run + ": " + name + (value.empty() ? "" : " = " + printable(value)));
}

void note_command(Store& store, Options& options) {
  const std::int64_t id = store.resolve(options.run);
  set_note(store, id, options.note);
  done(options, {{"run", id}, {"note", options.note}},
       "run " + std::to_string(id) + ": " + (options.note.empty() ? "note removed" : "noted"));
}

// Says, changes, forgets or shows which way a metric is better.
void better_command(Store& store, Options& options) {
  const std::string key = resolve_metric(store, options.run, "better", nullptr);
  std::string before;
  if (options.remove || !options.note.empty()) before = set_better(store, key, options.remove ? "" : options.note);
  const Direction now = direction(store, key);
  const char* way = to_text(now.better);
  std::string text = key + ": ";
  text += way == nullptr ? "which way is better is not known; " + how_to_say(key) + " says it"
                         : std::string(way) + " is better, " + (now.said ? "as said" : "by its name");
  if (!before.empty() && (way == nullptr || before != way)) text += " (" + before + " before)";
  done(options,
       {{"metric", key},
        {"better", way != nullptr ? Json(way) : Json()},
        {"source", way == nullptr ? Json() : Json(now.said ? "said" : "name")}},
       text);
}

void archive_command(Store& store, Options& options) {
  const std::vector<std::int64_t> ids = chosen(store, options, "archive");
  if (ids.empty()) return done(options, {{"archived", !options.undo}, {"runs", ids}}, "no runs fit --where");
  archive_runs(store, ids, !options.undo);
  done(options, {{"archived", !options.undo}, {"runs", ids}},
       count_text(ids.size(), "run") +
           (options.undo ? " back from the archive" : " archived; `gradus runs --archived` lists them"));
}

void delete_command(Store& store, Options& options) {
  const std::vector<std::int64_t> ids = chosen(store, options, "delete");
  const Json plan = plan_delete(store, ids);
  if (plan.empty()) return done(options, {{"deleted", plan}}, "no runs fit --where");
  double values = 0, bytes = 0;
  Table table;
  for (const char* column : {"id", "uid", "name", "status"})
    table.column(column, *column == 'i' ? Align::right : Align::left);
  for (const char* column : {"values", "files"}) table.column(column, Align::right);
  for (const Json& run : plan) {
    values += run["values"].get<double>();
    bytes += run["bytes"].get<double>();
    table.row({shown(run["id"]), run["uid"].get<std::string>().substr(0, 8), shown(run["name"]), shown(run["status"]),
               shown(run["values"]), bytes_text(run["bytes"])});
  }
  if (!options.json && !options.yes) std::fprintf(stderr, "%s", table.text(false).c_str());
  const std::string what =
      count_text(plan.size(), "run") + " with " + number(values) + " values and " + bytes_text(bytes) + " of files";
  if (!agreed(options, "delete " + what + "?")) return done(options, {{"deleted", Json::array()}}, "nothing deleted");
  delete_runs(store, plan);
  done(options, {{"deleted", plan}}, "deleted " + what);
}

void gc_command(Store& store, Options& options) {
  const Json plan = plan_gc(store, options.gc);
  const std::string what = count_text(plan["folders"].size(), "folder") + " of no run, " +
                           count_text(plan["sources"]["count"].get<std::size_t>(), "unused source") + ", " +
                           count_text(plan["snapshots"].size(), "snapshot") + " and " +
                           count_text(plan["cache"].size(), "stale cache entry", "stale cache entries") + " (" +
                           bytes_text(plan["bytes"]) + ")";
  const bool nothing =
      plan["folders"].empty() && plan["cache"].empty() && plan["snapshots"].empty() && plan["sources"]["count"] == 0;
  Json json = plan;
  json["removed"] = false;
  if (!nothing) {
    if (!options.json && !options.yes) {
      for (const char* list : {"folders", "cache", "snapshots"}) {
        for (const Json& entry : plan[list])
          std::fprintf(stderr, "  %s  %s\n", entry["path"].get<std::string>().c_str(),
                       bytes_text(entry["bytes"]).c_str());
      }
    }
    if (!agreed(options, "remove " + what + "?")) return done(options, json, "nothing removed");
    collect(store, plan);
    json["removed"] = true;
  }
  if (options.compact) store.compact();
  done(options, json,
       std::string(nothing ? "nothing to remove" : "removed " + what) +
           (options.compact ? "; the store's file is compact" : ""));
}

void merge_command(Store& store, Options& options) {
  Json all = Json::array();
  for (const std::string& path : options.stores) {
    const auto from = Store::open(path, Store::Mode::read);
    const Json merged = merge(store, *from);
    if (!options.json) {
      std::string text = path + ": " + count_text(merged["added"].get<std::size_t>(), "run") + " added";
      for (const auto& [key, words] :
           {std::pair("updated", " brought up to date"), std::pair("present", " already here"),
            std::pair("running", " still running there, left for the next merge")}) {
        if (merged[key] != 0) text += ", " + shown(merged[key]) + words;
      }
      print(text + "\n");
    }
    all.push_back(merged);
  }
  if (options.json) print_json(all);
}

}  // namespace

void add_housekeeping_commands(CLI::App& app, std::string& store) {
  const auto add = [&](const char* name, const char* what, auto command, auto more,
                       Store::Mode mode = Store::Mode::write) {
    CLI::App* sub = app.add_subcommand(name, what);
    auto options = std::make_shared<Options>();  // lives as long as the callback below
    sub->add_option("--store", store, "the store (default: $GRADUS_STORE or runs/gradus.db)");
    sub->add_flag("--json", options->json, "one JSON document on standard output");
    more(sub, *options);
    sub->callback([options, command, mode, &store] {
      command(*Store::open(store.empty() ? default_store() : store, mode), *options);
    });
  };
  constexpr const char* kRun = "an id, the beginning of a uid, or @last";
  const auto runs = [](CLI::App* sub, Options& options) {
    sub->add_option("RUN", options.runs, "ids, beginnings of uids, or @last");
    sub->add_option("--where", options.filter.where, "also the runs that fit");
  };
  add("tag", "mark a run: NAME or NAME=VALUE", tag_command, [&](CLI::App* sub, Options& options) {
    sub->add_option("RUN", options.run, kRun)->required();
    sub->add_option("NAME", options.tag, "NAME or NAME=VALUE; --where \"tags.NAME == 'VALUE'\" finds it")->required();
    sub->add_flag("--remove", options.remove, "take the tag away");
  });
  add("note", "write a note to a run", note_command, [&](CLI::App* sub, Options& options) {
    sub->add_option("RUN", options.run, kRun)->required();
    sub->add_option("TEXT", options.note, "the note; an empty text removes it")->required();
  });
  add("better", "say which way a metric is better, for comparing and for the best", better_command,
      [&](CLI::App* sub, Options& options) {
        sub->add_option("METRIC", options.run, "its name")->required();
        sub->add_option("WAY", options.note, "higher or lower; without it: what is known")
            ->check(CLI::IsMember({"higher", "lower"}));
        sub->add_flag("--forget", options.remove, "its name decides again");
      });
  add("archive", "leave runs out of lists and comparisons", archive_command, [&](CLI::App* sub, Options& options) {
    runs(sub, options);
    sub->add_flag("--undo", options.undo, "bring them back");
  });
  add("delete", "delete runs, the runs they started, and their files", delete_command,
      [&](CLI::App* sub, Options& options) {
        runs(sub, options);
        sub->add_flag("--yes,-y", options.yes, "do not ask");
      });
  add("gc", "remove what no run needs: orphaned folders, unused sources, stale cache entries, snapshots", gc_command,
      [](CLI::App* sub, Options& options) {
        sub->add_flag("--yes,-y", options.yes, "do not ask");
        sub->add_option("--cache-days", options.gc.cache_days,
                        "cache entries that nobody used for so long (default: 30)")
            ->check(number_from(0, 1e9));
        sub->add_option("--keep", options.gc.keep,
                        "of the snapshots of runs that are over: last=2,best,every=10000 (default: all)");
        sub->add_flag("--compact", options.compact, "also give the room of deleted rows back to the disk");
      });
  add(
      "merge", "copy the runs of other stores into this one; again is harmless", merge_command,
      [](CLI::App* sub, Options& options) {
        sub->add_option("STORE", options.stores, "files of other stores")->required();
      },
      Store::Mode::create);
}

}  // namespace gradus
