// Each format's files of one store (whole_store.h), kept whole, and what merging two stores and importing tells.
#include <algorithm>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "exchange/csv.h"
#include "exchange/import.h"
#include "exchange/json.h"
#include "exchange/merge.h"
#include "exchange/mlflow.h"
#include "exchange/output_file.h"
#include "exchange/tensorboard.h"
#include "exchange/wandb.h"
#include "whole_store.h"

namespace gradus::results {
namespace {

namespace fs = std::filesystem;

class WholeExportTest : public WholeStoreTest {
 protected:
  static std::string bytes_of(const fs::path& path) {
    std::ifstream in(path, std::ios::binary);
    std::stringstream text;
    text << in.rdbuf();
    return text.str();
  }
  // Bytes that are no characters as \xNN, at most 120 to a line.
  static std::string escaped(const std::string& bytes) {
    std::string out;
    for (std::size_t i = 0; i < bytes.size(); ++i) {
      char one[8];
      std::snprintf(one, sizeof one, bytes[i] >= 0x20 && bytes[i] < 0x7f && bytes[i] != '\\' ? "%c" : "\\x%02x",
                    static_cast<unsigned char>(bytes[i]));
      out += one;
      if (i % 120 == 119) out += "\n";
    }
    return out + "\n";
  }
  std::string folder_text(const std::string& folder, bool binary) const {
    std::vector<fs::path> files;
    for (const auto& entry : fs::recursive_directory_iterator(folder)) {
      if (entry.is_regular_file()) files.push_back(entry.path());
    }
    std::sort(files.begin(), files.end());
    std::string all;
    for (const fs::path& file : files)
      all += "# " + fs::relative(file, folder).string() + "\n" + (binary ? escaped(bytes_of(file)) : bytes_of(file));
    return told(all);
  }
  static std::string tables_of(const std::string& path) {
    sqlite3* db = nullptr;
    EXPECT_EQ(sqlite3_open(path.c_str(), &db), SQLITE_OK);
    std::string all;
    const auto row = [](void* rows, int count, char** cells, char**) {
      std::string text;
      for (int i = 0; i < count; ++i) text += std::string(cells[i] != nullptr ? cells[i] : "NULL") + "|";
      static_cast<std::vector<std::string>*>(rows)->push_back(text + "\n");
      return 0;
    };
    for (const char* table :
         {"alembic_version", "experiments", "runs", "params", "metrics", "latest_metrics", "tags", "experiment_tags"}) {
      all += std::string("# ") + table + "\n";
      std::vector<std::string> rows;
      EXPECT_EQ(sqlite3_exec(db, (std::string("SELECT * FROM ") + table).c_str(), row, &rows, nullptr), SQLITE_OK)
          << table;
      std::sort(rows.begin(), rows.end());
      for (const std::string& text : rows) all += text;
    }
    sqlite3_close(db);
    return all;
  }
};

TEST_F(WholeExportTest, TablesAndDocuments) {
  const Exported csv = export_csv(*store_, {1, 6, 7, 9}, folder_ + "/csv/");
  EXPECT_EQ(csv.runs, 4);
  std::string all = std::to_string(csv.values) + "\n" + folder_text(folder_ + "/csv", false);
  const Exported few =
      export_csv(*store_, {1, 2}, folder_ + "/few.csv", {.metrics = {"val/acc", "train/loss"}, .points = 4});
  all += std::to_string(few.values) + "\n" + bytes_of(folder_ + "/few.csv");
  expect_golden("export_csv.txt", all);
  export_json(*store_, {1, 7, 9}, folder_ + "/runs.json");
  expect_golden("export_json.txt", told(lines(Json::parse(bytes_of(folder_ + "/runs.json")))));
}

TEST_F(WholeExportTest, OtherToolsFiles) {
  export_mlflow(*store_, {1, 6, 8, 9}, folder_ + "/mlflow.db");
  expect_golden("export_mlflow.txt", told(tables_of(folder_ + "/mlflow.db")));
  export_wandb(*store_, {1, 6, 9}, folder_ + "/wandb");
  expect_golden("export_wandb.txt", folder_text(folder_ + "/wandb", true));
  export_tensorboard(*store_, {1, 9}, folder_ + "/board");
  expect_golden("export_tensorboard.txt", folder_text(folder_ + "/board", true));
}

TEST_F(WholeExportTest, AFileThatIsGivenUpLeavesNothing) {
  const auto open = [] { return std::distance(fs::directory_iterator("/proc/self/fd"), fs::directory_iterator()); };
  const auto before = open();
  {
    OutputFile file(folder_ + "/given_up");
    file.write("half");
    EXPECT_EQ(open(), before + 1);
  }
  EXPECT_EQ(open(), before);
  EXPECT_FALSE(fs::exists(folder_ + "/given_up"));
  const std::pair<std::string, std::string> names[] = {{"a b/c:d", "a_b_c_d"},
                                                       {"x-1_y.z", "x-1_y.z"},
                                                       {"", "run"},
                                                       {".hidden", "run.hidden"},
                                                       {"ü", "ü"},
                                                       {std::string(120, 'a'), std::string(100, 'a')},
                                                       {std::string(99, 'a') + "üb", std::string(99, 'a')},
                                                       {std::string(98, 'a') + "üb", std::string(98, 'a') + "ü"}};
  for (const auto& [text, name] : names) EXPECT_EQ(file_name(text), name);
}

// A run's name is its folder's below the one that was asked for; of that one itself its own.
TEST_F(WholeExportTest, NamesOfImportedFolders) {
  export_tensorboard(*store_, {1}, folder_ + "/board");
  const std::string inner = folder_ + "/board/digits-10000000";
  for (const auto& [path, name] : {std::pair<std::string, std::string>{folder_ + "/board", "digits-10000000"},
                                   {inner, "digits-10000000"},
                                   {folder_, "board/digits-10000000"}}) {
    const auto into = Store::open(folder_ + "/into" + std::to_string(path.size()) + ".db", Store::Mode::create);
    EXPECT_EQ(import_tensorboard(*into, path, {}).added, 1);
    EXPECT_EQ(ask(*into, "SELECT name FROM runs"), name) << path;
  }
}

// The runs of a store, of others' files and of another store, in a fresh one.
TEST_F(WholeExportTest, ThereAndBack) {
  export_tensorboard(*store_, {1, 6, 9}, folder_ + "/board");
  export_mlflow(*store_, {1, 6, 8, 9}, folder_ + "/mlflow.db");
  std::string all;
  const auto into = Store::open(folder_ + "/into/gradus.db", Store::Mode::create);
  const auto tell = [&](const char* what, const Imported& done) {
    all += std::string(what) + ":";
    for (const std::int64_t n :
         {done.added, done.updated, done.unchanged, done.values, done.children, done.empty, done.skipped})
      all += " " + std::to_string(n);
    all += "\n";
  };
  for (int twice = 0; twice < 2; ++twice) {
    tell("tensorboard", import_tensorboard(*into, folder_ + "/board", {}));
    tell("mlflow", import_mlflow(*into, folder_ + "/mlflow.db", {.name = "named"}));
    all += told(lines(merge(*into, *store_))) + "\n";
  }
  Json runs = list_runs(*into, {.children = true, .archived = true});
  for (Json& run : runs) run.erase("started"), run.erase("ended"), run.erase("uid"), run.erase("host");
  all += told(lines(runs)) + "\n";
  for (const Json& run : runs) {
    if (run["kind"] == "import") all += told(lines(show_run(*into, run["id"].dump())["summaries"])) + "\n";
  }
  expect_golden("imported.txt", all);
}

// In a fresh store runs have the numbers that they had, and so every row is the same.
TEST_F(WholeExportTest, AMergedStoreHasEveryRow) {
  const auto into = Store::open(folder_ + "/into/gradus.db", Store::Mode::create);
  merge(*into, *store_);
  for (const std::string rows :
       {"* FROM runs", "* FROM params", "* FROM sources", "* FROM run_sources", "* FROM artifacts", "* FROM tags",
        "* FROM progress", "run_id, step, time, kind, name, detail FROM events", "name, better FROM keys",
        "* FROM metrics", "* FROM summaries"}) {
    const auto all = [&](Store& store) {
      std::vector<std::string> lines;
      for (const Json& row : to_json(store.query("SELECT " + rows))) lines.push_back(dump(row));
      std::sort(lines.begin(), lines.end());
      return lines;
    };
    EXPECT_FALSE(all(*store_).empty()) << rows;
    EXPECT_EQ(all(*into), all(*store_)) << rows;
  }
}

}  // namespace
}  // namespace gradus::results
