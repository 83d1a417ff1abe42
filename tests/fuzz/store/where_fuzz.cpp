#include <cstdlib>
#include <filesystem>

#include "error.h"
#include "query/query.h"
#include "store/store.h"

#include "../target.h"

namespace results = gradus::results;

namespace {

// A store with three runs, made once and gone with the program.
struct Runs {
  std::string folder = (std::filesystem::temp_directory_path() / "gradus-fuzz-XXXXXX").string();
  std::shared_ptr<results::Store> store;
  Runs() {
    if (!mkdtemp(folder.data())) __builtin_trap();
    store = results::Store::open(folder + "/s.db", results::Store::Mode::create);
    for (std::int64_t seed = 1; seed <= 3; ++seed) {
      results::RunStart start;
      start.name = "digits";
      start.seed = seed;
      start.params = {{"lr", .5}, {"strategy", std::string("stages")}, {"opt.width", std::int64_t{8}}};
      const auto run = store->begin(start);
      const int key = run->key("val/acc");
      for (int step = 1; step < 4; ++step) run->log(key, step, .1 * step);
      run->finish("finished");
    }
  }
  ~Runs() {
    store.reset();
    std::filesystem::remove_all(folder);
  }
};

}  // namespace

FUZZ(where) {
  static Runs runs;
  results::RunFilter filter;
  filter.where = bytes;
  try {
    results::list_runs(*runs.store, filter);
  } catch (const results::Error& error) {
    if (error.code != results::Exit::usage) __builtin_trap();  // no condition is wrong only once it is SQL
  }
}
