#include <cmath>
#include <limits>

#include "compare_impl.h"
#include "error.h"
#include "store/database.h"

namespace gradus::results {
namespace {

constexpr double kSeconds = 60;  // of one walk over all runs

std::int64_t key_id(Store& store, const std::string& key) {
  const Rows rows = store.query("SELECT id FROM keys WHERE name = ?1", {key});
  return rows.rows.empty() ? 0 : std::get<std::int64_t>(rows.rows[0][0]);
}

// A step with what had been spent by then.
struct Spent {
  std::int64_t step = 0;
  double amount = 0;
  bool known = false;  // past the last row it is not
};

class Progress {
 public:
  explicit Progress(Statement& after) : after_(after) {}  // borrowed: step and amount of the row at or after ?2

  Spent at_or_after(std::int64_t run, std::int64_t step) {
    Spent row;
    after_.bind(1, run).bind(2, step);
    if (after_.step()) row = {after_.integer(0), after_.real(1), true};
    after_.reset();
    return row;
  }

  // The greatest step at which at most `budget` was spent. Amounts never fall, so a search by halves finds it.
  double step_of(std::int64_t run, double budget) {
    Spent below, above = at_or_after(run, 0);
    if (!above.known) return std::nan("");
    constexpr std::int64_t kLast = std::numeric_limits<std::int64_t>::max();
    // Invariant: rows before `low` are within the budget, and none at or after `high`.
    std::int64_t low = 0, high = -1;  // -1: not known yet; until then the steps double
    while (high < 0 || low < high) {
      const std::int64_t middle = high >= 0 ? low + (high - low) / 2 : low > kLast / 2 ? kLast : 2 * low;
      const Spent row = at_or_after(run, middle);
      if (row.known && row.amount <= budget) {
        if (row.step == kLast) return HUGE_VAL;
        below = row;
        low = row.step + 1;
      } else {
        if (row.known) above = row;
        high = middle;
      }
    }
    if (above.amount <= budget) return HUGE_VAL;  // it ended within the budget
    const double share = (budget - below.amount) / (above.amount - below.amount);
    const auto steps = static_cast<double>(above.step - below.step);
    constexpr double kRounding = 1e-12;  // a 49th of 49 steps is the first of them, which the budget pays for
    return std::floor(static_cast<double>(below.step) + (share + kRounding) * steps);
  }

 private:
  Statement& after_;
};

// Rows of progress that tell this amount: an imported run's have seconds alone.
std::string amounts(const std::string& column, const std::string& side) {
  return "SELECT step, " + column + " FROM progress WHERE run_id = ?1 AND step " + side + " ?2 AND " + column +
         " IS NOT NULL ORDER BY step" + (side == "<=" ? " DESC" : "") + " LIMIT 1";
}

}  // namespace

RunValues areas(Store& store, const std::vector<ComparedRun>& runs, const std::string& key) {
  RunValues values;
  store.read("SELECT auc(step, value) FROM metric_values WHERE run_id = ?1 AND key_id = ?2",
             {std::int64_t{0}, key_id(store, key)}, kSeconds, [&](Statement& area) {
               for (const ComparedRun& run : runs) {
                 if (run.curves.count(key) == 0) continue;
                 area.bind(1, run.id);
                 if (area.step()) values[run.id] = area.null(0) ? std::nan("") : area.real(0);
                 area.reset();
               }
             });
  return values;
}

RunValues budget_steps(Store& store, const std::vector<ComparedRun>& runs, const Budget& budget) {
  RunValues steps;
  if (budget.axis == "step") {
    for (const ComparedRun& run : runs) steps[run.id] = budget.value;
    return steps;
  }
  store.read(amounts(budget.axis, ">="), {std::int64_t{0}, std::int64_t{0}}, kSeconds, [&](Statement& row) {
    Progress progress(row);
    for (const ComparedRun& run : runs) {
      const double step = progress.step_of(run.id, budget.value);
      if (!std::isnan(step)) steps[run.id] = step;
    }
  });
  return steps;
}

RunValues values_at(Store& store, const std::string& key, const RunValues& steps) {
  RunValues values;
  store.read(
      "SELECT value FROM metric_values WHERE run_id = ?1 AND key_id = ?2 AND step <= ?3 ORDER BY step DESC LIMIT 1",
      {std::int64_t{0}, key_id(store, key), 0.0}, kSeconds, [&](Statement& value) {
        for (const auto& [run, step] : steps) {
          value.bind(1, run).bind(3, step);
          if (value.step()) values[run] = value.null(0) ? std::numeric_limits<double>::quiet_NaN() : value.real(0);
          value.reset();
        }
      });
  return values;
}

RunValues first_steps(Store& store, const std::vector<ComparedRun>& runs, const Threshold& t) {
  RunValues steps;
  const std::string op = t.at_least ? ">=" : "<=";
  store.read(
      "SELECT step FROM metric_values WHERE run_id = ?1 AND key_id = ?2 AND value " + op + " ?3 ORDER BY step LIMIT 1",
      {std::int64_t{0}, key_id(store, t.key), t.value}, kSeconds, [&](Statement& first) {
        for (const ComparedRun& run : runs) {
          const auto found = run.curves.find(t.key);
          if (found == run.curves.end()) continue;
          // The summary knows who did.
          if (t.at_least ? !(found->second.max >= t.value) : !(found->second.min <= t.value)) continue;
          first.bind(1, run.id);
          if (first.step()) steps[run.id] = static_cast<double>(first.integer(0));
          first.reset();
        }
      });
  return steps;
}

std::map<std::string, RunValues> spent_at(Store& store, const RunValues& steps) {
  struct Row {
    double step = 0, amount = 0;
  };
  std::map<std::string, RunValues> spent;
  for (const std::string column : {"samples", "flops", "seconds"}) {
    const auto walk = [&](const std::string& side, const auto& use) {
      store.read(amounts(column, side), {std::int64_t{0}, 0.0}, kSeconds, [&](Statement& row) {
        for (const auto& [run, step] : steps) {
          row.bind(1, run).bind(2, step);
          if (row.step()) use(run, Row{row.real(0), row.real(1)});
          row.reset();
        }
      });
    };
    RunValues& values = spent[column];
    for (const auto& [run, step] : steps) values[run] = std::numeric_limits<double>::quiet_NaN();
    std::map<std::int64_t, Row> before;  // a run without a row before has spent nothing at step 0
    walk("<=", [&](std::int64_t run, const Row& row) { before[run] = row; });
    walk(">=", [&](std::int64_t run, const Row& after) {
      const Row& low = before[run];
      const double step = steps.at(run), span = after.step - low.step;
      const double share = span > 0 ? (step - low.step) / span : 0;
      values[run] = low.amount + share * (after.amount - low.amount);
    });
  }
  return spent;
}

}  // namespace gradus::results
