#pragma once

#include <cstdlib>
#include <filesystem>
#include <memory>
#include <string>

#include "store/store.h"

namespace gradus::fuzz {

// A store with three runs, made once and gone with the program.
struct ThreeRuns {
  std::string folder = (std::filesystem::temp_directory_path() / "gradus-fuzz-XXXXXX").string();
  std::shared_ptr<results::Store> store;
  ThreeRuns() {
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
  ~ThreeRuns() {
    store.reset();
    std::filesystem::remove_all(folder);
  }
};

}  // namespace gradus::fuzz
