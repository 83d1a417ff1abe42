// What logging costs. Not a check: `results_tests --gtest_also_run_disabled_tests --gtest_filter=*Speed*` prints the
// figures.
#include <chrono>

#include "query/query.h"
#include "store_fixture.h"

namespace gradus::results {
namespace {

double cpu(clockid_t clock) {  // of the thread or the process: what others run at the same time does not count
  timespec t{};
  ::clock_gettime(clock, &t);
  return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_nsec) * 1e-9;
}

double seconds() { return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count(); }

TEST_F(StoreTest, DISABLED_SpeedOfLogging) {
  auto store = create();
  auto run = store->begin({.name = "a"});
  const int keys[] = {run->key("train/loss"), run->key("train/ce"), run->key("train/kl"), run->key("train/acc"),
                      run->key("knob/lr")};
  constexpr int kSteps = 400'000;
  const double begin = seconds(), begin_cpu = cpu(CLOCK_THREAD_CPUTIME_ID);
  for (int step = 0; step < kSteps; ++step) {
    for (const int key : keys) run->log(key, step, step * 0.5);
  }
  const double logged = seconds(), logged_cpu = cpu(CLOCK_THREAD_CPUTIME_ID);
  run->flush();
  const double drained = seconds();
  const double n = 5.0 * kSteps;
  std::printf("log: %.1f ns a value, of which the thread's own %.1f; to SQLite: %.0f values/s\n",
              (logged - begin) / n * 1e9, (logged_cpu - begin_cpu) / n * 1e9, n / (drained - begin));
}

TEST_F(StoreTest, DISABLED_SpeedOfReading200Runs) {
  {
    auto store = create();
    for (int i = 0; i < 200; ++i) {
      auto run = store->begin(
          {.name = "digits",
           .seed = i % 5,
           .config_hash = std::to_string(i / 5),
           .params = {{"strategy", std::string(1, static_cast<char>('a' + i / 5 % 4))}, {"lr", 0.1 * (i / 20)}}});
      int keys[10];
      for (int k = 0; k < 10; ++k) keys[k] = run->key(k == 0 ? "val/acc" : "k" + std::to_string(k));
      for (int step = 0; step < 1000; ++step) {
        for (const int key : keys) run->log(key, step, step * 0.001);
      }
      run->finish("finished");
    }
  }
  const auto time = [&](const char* what, const std::function<void(Store&)>& body) {
    const double begin = seconds(), begin_cpu = cpu(CLOCK_PROCESS_CPUTIME_ID);
    auto store = read();
    body(*store);
    std::printf("%s: %.1f ms, %.1f of CPU\n", what, (seconds() - begin) * 1e3,
                (cpu(CLOCK_PROCESS_CPUTIME_ID) - begin_cpu) * 1e3);
  };
  time("runs", [](Store& store) { list_runs(store, {}); });
  time("show", [](Store& store) { show_run(store, "@last"); });
  time("compare", [](Store& store) {
    CompareOptions options;
    options.threshold = parse_threshold("val/acc>=0.9");
    compare(store, options);
  });
  time("compare, no threshold", [](Store& store) { compare(store, {}); });
  time("one curve",
       [](Store& store) { store.query("SELECT step, value FROM metrics WHERE run_id = 100 AND key = 'k5'"); });
}

}  // namespace
}  // namespace gradus::results
