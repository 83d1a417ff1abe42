// The Nth allocation fails, of ours and of SQLite's, for every N until none does: an error, never an end of the
// process, and a store that is whole.
#include <sqlite3.h>

#include <atomic>
#include <cstdlib>
#include <new>

#include "store/database.h"
#include "store_fixture.h"

namespace {

// Counted down by each allocation; at 0 it fails. Below 0: none fails.
std::atomic<long> ours_left{-1}, sqlites_left{-1};
std::atomic<bool> from_then_on{false}, failed{false};

bool fails(std::atomic<long>& left) {
  if (left.load(std::memory_order_relaxed) < 0) return false;
  const long before = left.fetch_sub(1);
  if (before > 0) return false;
  left.store(from_then_on ? 0 : -1);
  failed = true;
  return true;
}

}  // namespace

void* operator new(std::size_t size) {
  if (fails(ours_left)) throw std::bad_alloc();
  void* memory = std::malloc(size ? size : 1);
  if (memory == nullptr) throw std::bad_alloc();
  return memory;
}
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }

namespace gradus::results {
namespace {

sqlite3_mem_methods real;

void* allocate(int size) { return fails(sqlites_left) ? nullptr : real.xMalloc(size); }
void* reallocate(void* memory, int size) { return fails(sqlites_left) ? nullptr : real.xRealloc(memory, size); }

class AllocationTest : public StoreTest {
 protected:
  // What a run does with its store, in a child: 0 done, 1 refused by an error.
  void work() {
    auto store = create();
    auto run = store->begin(
        {.name = "a", .seed = 1, .params = {{"lr", 0.1}}, .sources = {{"x.lua", std::string(64, 'a'), "return 1"}}});
    const int key = run->key("loss");
    for (int step = 0; step < 300; ++step) run->log(key, step, step);
    run->event(1, "decision", "advance", R"({"why":"so"})");
    run->flush();
    run->finish("finished");
  }

  void every_allocation(std::atomic<long>& left, bool always) {
    const bool full = std::getenv("GRADUS_FULL") != nullptr;
    int refused = 0;
    long n = 0;
    for (bool more = true; more; n += full ? 1 : 1 + n / 8) {
      std::filesystem::remove_all(folder_);
      std::filesystem::create_directory(folder_);
      const int status = wait_for(spawn([&] {
        if (&left == &sqlites_left) {
          sqlite3_shutdown();
          sqlite3_config(SQLITE_CONFIG_GETMALLOC, &real);
          sqlite3_mem_methods methods = real;
          methods.xMalloc = allocate;
          methods.xRealloc = reallocate;
          sqlite3_config(SQLITE_CONFIG_MALLOC, &methods);
        }
        from_then_on = always;
        left = n;
        bool done = false;
        try {
          work();
          done = true;
        } catch (const std::exception&) {
        }
        left = -1;
        ::_exit(!failed ? 2 : done ? 0 : 1);
      }));
      ASSERT_TRUE(WIFEXITED(status)) << "ended by signal " << WTERMSIG(status) << " at allocation " << n;
      more = WEXITSTATUS(status) != 2;
      refused += WEXITSTATUS(status) == 1;
      auto store = create();
      const std::string rows =
          ask(*store,
              "SELECT count(*) || ' ' || coalesce(max(status), '') || ' ' || (SELECT count(*) FROM metrics) FROM runs");
      if (WEXITSTATUS(status) != 1) {
        EXPECT_EQ(rows, "1 finished 300") << n;
      } else {
        EXPECT_TRUE(rows == "0  0" || rows.starts_with("1 interrupted") || rows == "1 finished 300")
            << rows << " at allocation " << n;
      }
      EXPECT_EQ(ask(*store, "PRAGMA integrity_check"), "ok") << n;
      store->begin({.name = "next"})->finish("finished");
    }
    std::printf("%ld allocations, %d runs refused\n", n, refused);
    EXPECT_GT(refused, 5);
  }
};

TEST_F(AllocationTest, OursOnce) { every_allocation(ours_left, false); }
TEST_F(AllocationTest, OursFromThenOn) { every_allocation(ours_left, true); }
TEST_F(AllocationTest, SqlitesOnce) { every_allocation(sqlites_left, false); }
TEST_F(AllocationTest, SqlitesFromThenOn) { every_allocation(sqlites_left, true); }

}  // namespace
}  // namespace gradus::results
