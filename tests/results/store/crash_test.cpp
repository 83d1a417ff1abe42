// What many processes, and dead ones, do to a store.
#include <sys/mman.h>
#include <sys/stat.h>

#include <atomic>
#include <chrono>
#include <fstream>
#include <thread>

#include "store/database.h"
#include "store/spool.h"
#include "store_fixture.h"

namespace gradus::results {
namespace {

std::uint64_t size_of(const std::string& path) {
  struct stat info {};
  return ::stat(path.c_str(), &info) == 0 ? static_cast<std::uint64_t>(info.st_size) : 0;
}

TEST_F(StoreTest, ManyProcessesOpenAFreshFileInTheSameInstant) {
  constexpr int kProcesses = 64, kSteps = 500;
  // They wait on a shared flag, so that they truly begin together.
  auto* go =
      static_cast<std::atomic<int>*>(::mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0));
  std::vector<pid_t> children;
  for (int p = 0; p < kProcesses; ++p) {
    children.push_back(spawn([&] {
      while (go->load() == 0) ::usleep(100);
      auto store = create();
      auto run = store->begin({.name = "p", .seed = p, .params = {{"lr", 0.1}}});
      const int a = run->key("a"), b = run->key("b/" + std::to_string(p % 4));
      for (int step = 0; step < kSteps; ++step) {
        run->log(a, step, step + p);
        run->log(b, step, -step);
        if (step % 100 == 0) run->event(step, "stage", "s", "{}");
      }
      run->finish("finished");
    }));
  }
  go->store(1);
  for (const pid_t pid : children) EXPECT_EQ(wait_for(pid), 0);
  ::munmap(go, 4096);
  auto store = read();
  EXPECT_EQ(ask(*store, "SELECT count(*) FROM runs WHERE status = 'finished'"), std::to_string(kProcesses));
  EXPECT_EQ(ask(*store, "SELECT count(*) FROM metrics"), std::to_string(2 * kProcesses * kSteps));
  EXPECT_EQ(ask(*store, "SELECT count(*) FROM events"), std::to_string(5 * kProcesses));
  EXPECT_EQ(ask(*store, "SELECT count(*) FROM keys"), "5");
  EXPECT_EQ(ask(*store,
                "SELECT count(*) FROM runs r JOIN metrics m ON m.run_id = r.id AND m.key = 'a' WHERE m.value != m.step "
                "+ r.seed"),
            "0");
  EXPECT_EQ(ask(*store, "PRAGMA integrity_check"), "ok");
}

// The child tells through a shared page how far it had logged; not one value before that may be missing, wherever it
// was killed.
TEST_F(StoreTest, NothingLoggedIsLostToKill9) {
  struct Shared {
    std::atomic<std::int64_t> logged, events;
  };
  for (int round = 0; round < 12; ++round) {
    auto* shared =
        static_cast<Shared*>(::mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0));
    const pid_t pid = spawn([&] {
      auto store = create();
      auto run = store->begin({.name = "victim", .seed = round});
      const int a = run->key("a");
      for (std::int64_t step = 0;; ++step) {
        run->log(a, step, static_cast<double>(step) * 2);
        shared->logged.store(step + 1);
        if (step % 1000 == 0) {
          run->event(step, "decision", "d", R"({"round":1})");
          run->progress(step, 1, step, 1, 1);
          shared->events.fetch_add(1);
        }
        if (step == 5) run->artifact("w", "f", "s", 1);
        if (step % 64 == 0) ::usleep(20);
      }
    });
    while (shared->logged.load() < 1) ::usleep(100);
    ::usleep(static_cast<useconds_t>(7'000 * (round + 1)));
    ::kill(pid, SIGKILL);
    EXPECT_TRUE(WIFSIGNALED(wait_for(pid)));

    auto store = read();
    const std::string id = ask(*store, "SELECT max(id) FROM runs");
    const std::int64_t rows =
        std::stoll(ask(*store, "SELECT count(*) FROM metrics WHERE key = 'a' AND run_id = " + id));
    // One more may have been published between the store to the spool and the store to the shared page.
    EXPECT_GE(rows, shared->logged.load());
    EXPECT_LE(rows, shared->logged.load() + 1);
    EXPECT_EQ(ask(*store, "SELECT count(*) FROM metrics WHERE value != 2 * step"), "0");
    EXPECT_EQ(ask(*store, "SELECT max(step) + 1 FROM metrics WHERE run_id = " + id), std::to_string(rows));
    EXPECT_EQ(ask(*store, "SELECT count FROM summaries WHERE run_id = " + id), std::to_string(rows));
    const std::int64_t events = std::stoll(ask(*store, "SELECT count(*) FROM events WHERE run_id = " + id));
    EXPECT_GE(events, shared->events.load());
    EXPECT_LE(events, shared->events.load() + 1);
    EXPECT_EQ(
        ask(*store,
            "SELECT status || (ended >= started) || (seconds >= 0) || (error IS NOT NULL) FROM runs WHERE id = " + id),
        "interrupted111");
    EXPECT_TRUE(std::filesystem::is_empty(folder_ + "/" + ask(*store, "SELECT uid FROM runs WHERE id = " + id)));
    EXPECT_EQ(ask(*store, "PRAGMA integrity_check"), "ok");
    ::munmap(shared, 4096);
  }
}

// Killed between the commit of what a segment holds and its end: whoever reads on removes it.
TEST_F(StoreTest, ASegmentThatOutlivedItsCommitGoesToo) {
  const pid_t pid = spawn([&] {
    auto store = create();
    auto run = store->begin({.name = "victim"});
    const int a = run->key("a");
    for (std::int64_t step = 0; step < 100'000; ++step) run->log(a, step, 1);  // more than two segments
    run->flush();
    ::raise(SIGKILL);
  });
  EXPECT_TRUE(WIFSIGNALED(wait_for(pid)));
  std::string folder;
  for (const auto& entry : std::filesystem::directory_iterator(folder_)) {
    if (std::filesystem::exists(entry.path() / "spool.keys")) folder = entry.path();
  }
  ASSERT_FALSE(folder.empty());
  ASSERT_FALSE(std::filesystem::exists(folder + "/spool.0"));
  std::ofstream(folder + "/spool.0") << "what was committed";
  EXPECT_EQ(ask(*read(), "SELECT count(*) FROM metrics"), "100000");
  EXPECT_TRUE(std::filesystem::is_empty(folder));
}

TEST_F(StoreTest, ALiveRunOfAnotherProcessIsLeftAlone) {
  int pipe_ends[2];
  ASSERT_EQ(::pipe(pipe_ends), 0);
  const pid_t pid = spawn([&] {
    auto run = create()->begin({.name = "live"});
    run->log(run->key("x"), 1, 1);
    run->flush();
    if (::write(pipe_ends[1], "x", 1) != 1) throw std::runtime_error("pipe");
    ::usleep(300'000);
    run->log(run->key("x"), 2, 2);
    run->finish("finished");
  });
  char byte;
  ASSERT_EQ(::read(pipe_ends[0], &byte, 1), 1);
  {
    auto store = read();
    EXPECT_EQ(ask(*store, "SELECT status FROM runs"), "running");
  }
  EXPECT_EQ(wait_for(pid), 0);
  auto store = read();
  EXPECT_EQ(ask(*store, "SELECT status FROM runs"), "finished");
  EXPECT_EQ(ask(*store, "SELECT count(*) FROM metrics"), "2");
  ::close(pipe_ends[0]);
  ::close(pipe_ends[1]);
}

// Whoever holds the store's lock writes alone; the others wait for it.
TEST_F(StoreTest, AWriterWaitsForTheLock) {
  auto store = create();
  store->begin({.name = "x"})->finish("finished");
  std::atomic<bool> written = false;
  FileLock lock(path_ + ".lock");  // as another process does
  ASSERT_TRUE(lock.try_lock());
  std::thread writer([&] {
    store->write([](Database& database) { database.run("UPDATE runs SET note = 'late'"); });
    written = true;
  });
  ::usleep(150'000);
  EXPECT_FALSE(written) << "wrote under another's lock";
  EXPECT_EQ(ask(*store, "SELECT note FROM runs"), "NULL");
  lock.unlock();
  writer.join();
  EXPECT_EQ(ask(*store, "SELECT note FROM runs"), "late");
  ASSERT_TRUE(lock.try_lock());
  FileLock other(path_ + ".lock");
  expect_error(Exit::io, "the store is locked; expected other writers to finish within 0 s", [&] { other.lock(0.01); });
}

TEST_F(StoreTest, SeveralReadersRecoverOneDeadRunOnce) {
  EXPECT_TRUE(WIFSIGNALED(wait_for(spawn([&] {
    auto run = create()->begin({.name = "victim"});
    for (int i = 0; i < 30'000; ++i) run->log(run->key("x"), i, i);
    for (int i = 0; i < 100; ++i) run->event(i, "stage", "s", "");
    ::kill(::getpid(), SIGKILL);
  }))));
  std::vector<pid_t> readers;
  for (int i = 0; i < 8; ++i) readers.push_back(spawn([&] { read(); }));
  for (const pid_t pid : readers) EXPECT_EQ(wait_for(pid), 0);
  auto store = read();
  EXPECT_EQ(ask(*store, "SELECT count(*) FROM events"), "100");
  EXPECT_EQ(ask(*store, "SELECT count FROM summaries"), "30000");
  EXPECT_EQ(ask(*store, "SELECT status FROM runs"), "interrupted");
}

// A recovery that is itself killed goes on where it stopped.
TEST_F(StoreTest, RecoverySurvivesKill9) {
  constexpr int kValues = 400'000;
  EXPECT_TRUE(WIFSIGNALED(wait_for(spawn([&] {
    auto run = create()->begin({.name = "victim"});
    const int x = run->key("x");
    for (int i = 0; i < kValues; ++i) {
      run->log(x, i, i);
      if (i % 1000 == 0) run->event(i, "stage", "s", "");
    }
    ::kill(::getpid(), SIGKILL);
  }))));
  for (int i = 1; i <= 5; ++i) {
    const pid_t pid = spawn([&] { read(); });
    ::usleep(static_cast<useconds_t>(i * 20'000));
    ::kill(pid, SIGKILL);
    wait_for(pid);
  }
  auto store = read();
  EXPECT_EQ(ask(*store, "SELECT count(*) FROM metrics"), std::to_string(kValues));
  EXPECT_EQ(ask(*store, "SELECT count(*) FROM events"), std::to_string(kValues / 1000));
  EXPECT_EQ(ask(*store, "SELECT status FROM runs"), "interrupted");
}

TEST_F(StoreTest, TheWalStaysSmall) {
  auto store = create();
  auto run = store->begin({.name = "a"});
  const int x = run->key("x");
  std::uint64_t largest = 0;
  for (int step = 0; step < 500'000; ++step) {
    run->log(x, step, step);
    if (step % 10'000 == 0) {
      run->flush();
      largest = std::max(largest, size_of(path_ + "-wal"));
    }
  }
  run->finish("finished");
  EXPECT_LT(largest, 8U << 20);
  EXPECT_EQ(size_of(path_ + "-wal"), 0U) << "the last run leaves a file that is whole without its WAL";
  EXPECT_EQ(ask(*store, "SELECT count(*) FROM metrics"), "500000");
}

// A reader that never ends its transaction pins the WAL. Writers then wait in their spools, and nothing is lost.
TEST_F(StoreTest, ALongReaderDoesNotLetTheWalGrowWithoutBound) {
  auto store = create();
  auto run = store->begin({.name = "a"});
  sqlite3* reader = nullptr;
  ASSERT_EQ(sqlite3_open_v2(path_.c_str(), &reader, SQLITE_OPEN_READONLY, nullptr), SQLITE_OK);
  ASSERT_EQ(sqlite3_exec(reader, "BEGIN; SELECT count(*) FROM runs", nullptr, nullptr, nullptr), SQLITE_OK);
  // Many curves: each batch touches a page of each, so the WAL grows fast.
  constexpr int kKeys = 4000, kSteps = 200;
  int keys[kKeys];
  for (int k = 0; k < kKeys; ++k) keys[k] = run->key("k" + std::to_string(k));
  for (int step = 0; step < kSteps; ++step) {
    for (const int key : keys) run->log(key, step, step);
  }
  std::uint64_t largest = 0;
  // Until the WAL stops growing; to the limit it may take its time.
  for (int quiet = 0; quiet < (largest > 64U << 20 ? 10 : 300);) {
    const std::uint64_t size = size_of(path_ + "-wal");
    quiet = size > largest ? 0 : quiet + 1;
    largest = std::max(largest, size);
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
  }
  EXPECT_GT(largest, 64U << 20) << "the test did not reach the limit";
  EXPECT_LT(largest, 100U << 20);
  sqlite3_close(reader);
  run->finish("finished");
  EXPECT_EQ(ask(*store, "SELECT count(*) FROM metrics"), std::to_string(kKeys * kSteps));
}

TEST_F(StoreTest, SegmentsFollowEachOtherAndLongTextsFit) {
  std::filesystem::create_directory(folder_ + "/s");
  Spool spool(folder_ + "/s", 64 + 10 * sizeof(Record));
  SpoolReader reader(folder_ + "/s", {});
  const std::string text(1000, 'x');
  std::uint64_t metrics = 0, texts = 0, progress = 0;
  const auto drain = [&] {
    for (;;) {
      const auto span = reader.read(7, false);
      if (span.size == 0) break;
      for (std::uint64_t i = 0; i < span.size; i += message_records(span.data[i])) {
        if (span.data[i].kind == Record::metric) {
          EXPECT_EQ(span.data[i].value, static_cast<double>(metrics));
          ++metrics;
        } else if (span.data[i].kind == Record::event) {
          EXPECT_EQ(std::string(reinterpret_cast<const char*>(&span.data[i + 1]), span.data[i].key), text);
          ++texts;
        } else if (span.data[i].kind == Record::progress) {
          EXPECT_EQ(span.data[i + 2].value, 5.0);
          ++progress;
        }
      }
      reader.advance(span.size);
    }
  };
  const auto key = static_cast<std::uint32_t>(spool.key("k"));
  for (int i = 0; i < 1000; ++i) {
    spool.metric(key, i, i);
    if (i % 50 == 0) spool.text(Record::event, i, 0, text);
    if (i % 7 == 0) spool.progress(1, 2, 3, 4, 5);
    if (i % 13 == 0) drain();
  }
  drain();
  EXPECT_EQ(metrics, 1000U);
  EXPECT_EQ(texts, 20U);
  EXPECT_EQ(progress, 143U);
}

}  // namespace
}  // namespace gradus::results
