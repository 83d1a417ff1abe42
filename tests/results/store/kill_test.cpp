// Writers and readers that are killed at any moment, many at a time: what was acknowledged is there, once.
#include <sys/mman.h>

#include <algorithm>
#include <atomic>
#include <random>
#include <thread>
#include <vector>

#include "store_fixture.h"

namespace gradus::results {
namespace {

constexpr int kWriters = 8, kRunsOfWriter = 64, kStepsOfRun = 2500, kEventEvery = 97;

// What a writer was told before it died, each said after the call had returned.
struct Told {
  struct Run {
    std::atomic<std::int64_t> id, logged, events, flushed;
    std::atomic<bool> finished;
  };
  Run runs[kRunsOfWriter];
};
struct Shared {
  Told writers[kWriters];
  std::atomic<bool> stop;
  std::atomic<std::int64_t> reads;
};

void write_runs(const std::function<std::shared_ptr<Store>()>& open, Told& told) {
  auto store = open();
  for (Told::Run& run : told.runs) {
    auto writer = store->begin(
        {.name = "victim", .params = {{"lr", 0.1}}, .sources = {{"x.lua", std::string(64, 'a'), "return 1"}}});
    run.id = writer->id();
    const int key = writer->key("a");
    for (std::int64_t step = 0; step < kStepsOfRun; ++step) {
      writer->log(key, step, static_cast<double>(step) * 2);
      run.logged = step + 1;
      if (step % kEventEvery == 0) {
        writer->event(step, "decision", "d", R"({"why":"so"})");
        run.events.fetch_add(1);
      }
      if (step % 400 == 399) {
        writer->flush();
        run.flushed = step + 1;
      }
      if (step % 64 == 0) ::usleep(30);
    }
    writer->finish("finished");
    run.finished = true;
  }
}

class KillTest : public StoreTest {
 protected:
  // Kills all writers and one of two readers, each after a time of its own.
  void round(Shared& shared, std::minstd_rand& random) {
    std::vector<pid_t> victims;
    const auto open = [&] { return create(); };
    const auto look = [&] {
      while (!shared.stop) {
        auto store = read();
        ask(*store, "SELECT count(*) FROM metrics");
        shared.reads.fetch_add(1);
      }
    };
    for (Told& told : shared.writers) victims.push_back(spawn([&] { write_runs(open, told); }));
    while (!std::filesystem::exists(path_) || shared.writers[0].runs[0].id == 0) ::usleep(100);
    victims.push_back(spawn(look));
    const pid_t reader = spawn(look);
    std::vector<std::pair<unsigned, pid_t>> times;
    for (const pid_t pid : victims) times.emplace_back(random() % 500'000, pid);
    std::sort(times.begin(), times.end());
    unsigned now = 0;
    for (const auto& [at, pid] : times) {
      ::usleep(at - std::exchange(now, at));
      ::kill(pid, SIGKILL);
    }
    for (const pid_t pid : victims) {
      const int status = wait_for(pid);
      EXPECT_TRUE(WIFSIGNALED(status)) << "ended by itself, with " << WEXITSTATUS(status);
    }
    shared.stop = true;
    EXPECT_EQ(wait_for(reader), 0) << "a reader failed beside dying writers";
  }

  // Of the runs of the round; returns how many acknowledged rows there were.
  std::int64_t check(Store& store, Shared& shared) {
    std::int64_t acknowledged = 0;
    for (Told& told : shared.writers) {
      for (Told::Run& run : told.runs) {
        if (run.id == 0) break;
        const std::string of = " WHERE run_id = " + std::to_string(run.id);
        const auto number = [&](const std::string& sql) { return std::stoll(ask(store, sql)); };
        const std::int64_t rows = number("SELECT count(*) FROM metrics" + of),
                           events = number("SELECT count(*) FROM events" + of);
        // One more may have been given to the spool than was told here.
        EXPECT_GE(rows, run.logged.load());
        EXPECT_LE(rows, run.logged + 1);
        EXPECT_GE(rows, run.flushed.load());
        EXPECT_GE(events, run.events.load());
        EXPECT_LE(events, run.events + 1);
        acknowledged += run.logged + run.events;
        if (rows > 0) {
          EXPECT_EQ(number("SELECT max(step) + 1 FROM metrics" + of), rows) << "a gap";
        }
        if (events > 0) {
          EXPECT_EQ(number("SELECT count(DISTINCT step) FROM events" + of), events) << "an event twice";
          EXPECT_EQ(number("SELECT max(step) FROM events" + of), (events - 1) * kEventEvery) << "a gap";
        }
        EXPECT_EQ(number("SELECT coalesce(sum(count), 0) FROM summaries" + of), rows);
        EXPECT_EQ(number("SELECT count(*) FROM params" + of) + number("SELECT count(*) FROM run_sources" + of), 2);
        const std::string status = ask(store, "SELECT status FROM runs WHERE id = " + std::to_string(run.id));
        EXPECT_TRUE(status == "finished" || (status == "interrupted" && !run.finished)) << status;
      }
    }
    EXPECT_EQ(ask(store, "SELECT count(*) FROM runs WHERE status = 'running'"), "0");
    EXPECT_EQ(ask(store, "SELECT count(*) FROM metrics WHERE value != 2 * step"), "0");
    EXPECT_EQ(ask(store, "PRAGMA integrity_check"), "ok");
    EXPECT_EQ(ask(store, "SELECT count(*) FROM drained"), "0");
    return acknowledged;
  }
};

TEST_F(KillTest, NothingAcknowledgedIsLostOrDoubled) {
  const int kills = std::getenv("GRADUS_FULL") != nullptr ? 2000 : 64;
  const char* seed_text = std::getenv("GRADUS_KILL_SEED");
  const unsigned seed = seed_text != nullptr ? static_cast<unsigned>(std::stoul(seed_text)) : std::random_device()();
  std::printf("GRADUS_KILL_SEED=%u\n", seed);
  std::minstd_rand random(seed);
  std::int64_t acknowledged = 0, reads = 0;
  for (int killed = 0; killed < kills && !HasFailure(); killed += kWriters) {
    void* memory = ::mmap(nullptr, sizeof(Shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    ASSERT_NE(memory, MAP_FAILED);
    auto& shared = *static_cast<Shared*>(memory);
    round(shared, random);
    {
      auto store = read();
      acknowledged += check(*store, shared);
    }
    reads += shared.reads;
    ::munmap(memory, sizeof(Shared));
    if (killed / kWriters % 8 == 7) {  // a fresh store now and then: its first moments are killed into as well
      std::filesystem::remove_all(folder_);
      std::filesystem::create_directory(folder_);
    }
  }
  std::printf("%d writers killed, %lld rows acknowledged, %lld reads beside\n", kills,
              static_cast<long long>(acknowledged), static_cast<long long>(reads));
  EXPECT_GT(acknowledged, kills * 50);
  EXPECT_GT(reads, kills / 8);
}

}  // namespace
}  // namespace gradus::results
