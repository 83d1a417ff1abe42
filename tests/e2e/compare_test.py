"""Comparisons, diff, queries and housekeeping as a user meets them, on runs whose numbers are known."""

import contextlib
import json
import os
import pathlib
import shutil
import sqlite3
import subprocess
import tempfile
import unittest

GRADUS = str(pathlib.Path(os.environ.get("GRADUS", "build/gradus")).resolve())

# strategy -> accuracy of seeds 1 to 5 at step 100; every curve rises in a straight line over steps 10, 20, …, 100.
ACCURACY = {"one_shot": [.90, .91, .89, .92, .90], "stages": [.94, .95, .92, .95, .945], "ramp": [.905, .90, .90, .93, .89]}

SPEC = """
it("makes runs", function()
  local store = require("gradus.store").open "%(path)s"
  local host = require "gradus.host"
  for _, one in ipairs(host.json_decode [==[%(runs)s]==]) do
    local run = store:begin { name = "digits", seed = one.seed, config_hash = one.strategy,
      params = { { key = "strategy", value = one.strategy }, { key = "lr", value = 0.01 } },
      sources = { { path = "digits.lua", sha256 = one.hash, text = one.text } }, environment = { script = "digits.lua" } }
    local key = run:key "val/acc"
    run:event(0, "stage", "easy", "{}")
    for step = 10, 100, 10 do
      run:log(key, step, one.acc * step / 100)
      run:progress(step, step / 10, step * 64, step * 1e6, step * 0.5)
    end
    run:event(40, "best", "val/acc", '{"value":0.4}')
    run:event(50, "decision", "advance", '{"numbers":{"acc":0.500001234},"to":"hard"}')
    run:event(50, "stage", "hard", '{"rows":40}')
    run:finish "finished"
  end
end)
"""


class CompareCase(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.made = pathlib.Path(tempfile.mkdtemp())
        runs = [{"strategy": s, "seed": i + 1, "acc": a, "hash": s[0] * 64, "text": f"-- one\nreturn '{s}'\n"}
                for s, accs in ACCURACY.items() for i, a in enumerate(accs)]
        spec = cls.made / "make.lua"
        spec.write_text(SPEC % {"path": cls.made / "gradus.db", "runs": json.dumps(runs)})
        subprocess.run([GRADUS, "test", spec], check=True, stdout=subprocess.DEVNULL)

    @classmethod
    def tearDownClass(cls):
        shutil.rmtree(cls.made)

    def setUp(self):
        self.dir = pathlib.Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, self.dir)
        shutil.copytree(self.made, self.dir / "runs")

    def gradus(self, *args, code=0, stdin=subprocess.DEVNULL):
        done = subprocess.run([GRADUS, *map(str, args)], cwd=self.dir, capture_output=True, text=True, timeout=60, stdin=stdin,
                              env={**os.environ, "GRADUS_STORE": "runs/gradus.db"})
        self.assertEqual(done.returncode, code, done.stdout + done.stderr)
        return done

    def json(self, *args):
        return json.loads(self.gradus(*args, "--json").stdout)


class Compare(CompareCase):
    def test_default_output_is_calm(self):
        out = self.gradus("compare").stdout
        self.assertEqual(len(out.splitlines()), 7)
        self.assertEqual(out.splitlines()[-1], "higher is better: val/acc")
        self.assertIn("0.904 ± 0.011", out)
        self.assertNotIn("Holm", out)

    def test_versus_is_paired_and_corrected(self):
        versus = self.json("compare", "--versus", "one_shot")["versus"]
        self.assertEqual(versus["column"], "strategy")
        stages = next(c for c in versus["comparisons"] if c["mean"] > .03)
        # scipy.stats.ttest_rel([.94, .95, .92, .95, .945], [.90, .91, .89, .92, .90])
        self.assertEqual(stages["pairs"], 5)
        self.assertAlmostEqual(stages["mean"], .037)
        self.assertAlmostEqual(stages["t"], 12.3333, 3)
        self.assertAlmostEqual(stages["p"], 0.000248331, 8)
        self.assertAlmostEqual(stages["p_holm"], 2 * stages["p"])
        self.assertAlmostEqual(stages["wilcoxon_p"], 0.0625)
        self.assertEqual(stages["verdict"], "better")
        ramp = next(c for c in versus["comparisons"] if c["mean"] < .03)
        self.assertEqual(ramp["verdict"], "open")
        self.assertGreater(ramp["seeds_needed"], 100)
        out = self.gradus("compare", "--versus", "one_shot").stdout
        self.assertRegex(out, r"stages .*better")
        self.assertRegex(out, r"ramp .*open; \d+ more seeds?")
        self.assertIn("\np: paired t test; Holm", out)
        self.assertIn("\nmore seeds: until", out)
        self.assertNotIn("\nlost: ", out, "the legend is of the columns that are there")
        self.assertNotIn("\np equal: ", out)

    def test_versus_names_what_it_knows(self):
        err = self.gradus("compare", "--versus", "one_shoot", code=64).stderr
        self.assertIn("did you mean 'one_shot'?", err)

    def test_intervals(self):
        for method in (["--ci"], ["--ci=bootstrap"], ["--ci", "t"], ["--ci", "bootstrap"]):
            last = self.json("compare", *method)["groups"][0]["metrics"]["val/acc"]["last"]
            self.assertLess(last["low"], last["mean"])
            self.assertGreater(last["high"], last["mean"])
        self.assertIn("bootstrap", self.gradus("compare", "--ci=bootstrap").stdout)
        self.gradus("compare", "--ci=z", code=64)

    def test_budgets_areas_and_thresholds(self):
        for at in ("step=55", "samples=3520", "flops=5.5e7", "seconds=27.5"):
            metric = self.json("compare", "--at", at)["groups"][0]["metrics"]["val/acc"]
            self.assertAlmostEqual(metric["at"]["mean"], .904 * .5, msg=at)
        metric = self.json("compare", "--at", "step=1000", "--auc")["groups"][0]["metrics"]["val/acc"]
        self.assertEqual(metric["at"], metric["last"])  # it ended earlier and keeps its last
        self.assertAlmostEqual(metric["auc"]["mean"], .904 * .55)
        group = self.json("compare", "--threshold", "val/acc>=0.81", "--where", "strategy == 'one_shot'")["groups"][0]
        self.assertEqual(group["steps_to"]["mean"], 92)  # 90, but 100 for .89
        self.assertEqual(group["samples_to"]["mean"], 92 * 64)
        self.assertEqual(group["flops_to"]["mean"], 92e6)
        self.assertEqual(group["seconds_to"]["mean"], 46)
        for wrong in ("epochs=3", "flops", "step=-1"):
            self.assertIn("--at: expected step=N", self.gradus("compare", "--at", wrong, code=64).stderr)

    def test_lists_of_columns_and_metrics(self):
        self.assertEqual(self.json("compare", "--metric", "val_acc, val/acc")["metrics"],
                         self.json("compare", "--metric", "val_acc", "--metric", "val/acc")["metrics"])
        self.assertEqual(self.json("compare", "--by", "strategy, seed")["by"], ["strategy", "seed"])
        self.assertEqual(self.json("compare", "--by", "strategy,seed,strategy")["by"], ["strategy", "seed"])
        with contextlib.closing(sqlite3.connect(self.dir / "runs" / "gradus.db")) as db, db:  # another tool's, imported
            db.execute("INSERT INTO params SELECT id, 'size, px', id % 2, 'integer' FROM runs")
        self.assertEqual(self.json("compare", "--by", 'params."size, px", strategy')["by"], ['params."size, px"', "strategy"])
        columns = ["name", 'params."size, px"', "at(val/acc, 90)"]
        self.assertEqual(sorted(self.json("runs", "--columns", ", ".join(columns), "--limit", 1)[0]["columns"]), sorted(columns))
        self.assertEqual(self.json("compare", "--by", "status")["groups"][0]["label"], {"status": "finished"})
        self.assertIn("no run has the parameter 'tags'", self.gradus("compare", "--by", "tags", code=64).stderr)


class Pictures(CompareCase):
    def test_what_is_grouped_is_everything(self):
        out = self.gradus("plot", "val/acc", "--by", "strategy", "--width", 120).stdout
        for strategy in ACCURACY:
            self.assertIn(f"{strategy} (5)", out)
        self.assertIn("(1)", self.gradus("plot", "val/acc", "15", "--by", "strategy").stdout)
        self.assertIn("<p>15 runs", self.gradus("report", "--by", "strategy").stdout)
        self.assertIn("<p>1 run,", self.gradus("report").stdout)

    def test_figures_together_and_within_a_range(self):
        out = self.gradus("plot", "val/acc", "val/acc", "15", "--together", "--width", 120).stdout
        self.assertIn("val/acc, val/acc\n", out)
        self.assertIn("0.8 ┤", self.gradus("plot", "val/acc", "15").stdout)
        self.assertNotIn("0.8 ┤", self.gradus("plot", "val/acc", "15", "--y", "0.6,0.7").stdout)
        self.assertIn("only `gradus compare` goes stage by stage", self.gradus("plot", "val/acc", "--by", "stage", code=64).stderr)
        for wrong in (("--y", "1,0"), ("--kind", "cloud"), ("--kind", "spread", "--x", "flops"), ("--kind", "spread", "--by", "strategy"),
                      ("--kind", "spread", "--together")):
            self.gradus("plot", "val/acc", "15", *wrong, code=64)
        self.assertIn("none of these runs has the spread 'val/acc'", self.gradus("plot", "val/acc", "15", "--kind", "spread", code=64).stderr)

    def test_a_misspelt_metric_is_no_run(self):
        self.assertIn("no run has the metric 'acc'", self.gradus("plot", "acc", code=64).stderr)  # though a uid may begin so
        uid = self.json("show", 15)["uid"]
        letters = next((part for part in (uid[:n] for n in range(1, 8)) if not part.isdigit()), None)
        if letters:
            self.assertIn(f"no run has the metric '{letters}'", self.gradus("plot", letters, code=64).stderr)
        self.assertIn("no METRIC", self.gradus("plot", "@last", code=64).stderr)
        self.assertIn("val/acc", self.gradus("plot", "val/acc", uid[:12]).stdout)

    def test_a_store_is_not_written_over(self):
        store = self.dir / "runs" / "gradus.db"
        before = store.read_bytes()
        for command in (["export", "csv", "-o"], ["export", "json", "-o"], ["report", "--markdown", "-o"]):
            self.assertIn("is not written over", self.gradus(*command, store, code=65).stderr)
        self.assertEqual(store.read_bytes(), before)

    def test_a_terminal_is_not_filled_with_html(self):
        terminal, end = os.openpty()
        try:
            done = subprocess.run([GRADUS, "report"], cwd=self.dir, stdout=end, stderr=subprocess.PIPE, text=True, timeout=60)
        finally:
            os.close(end)
            os.close(terminal)
        self.assertEqual(done.returncode, 64)
        self.assertIn("expected -o FILE.html", done.stderr)

    def test_show_rounds_what_was_spent(self):
        out = self.gradus("show", 1).stdout
        self.assertIn("flops = 100000000\n", out)
        self.assertIn("seconds = 50\n", out)

    def test_show_tells_decisions_in_words(self):
        out = self.gradus("show", 1).stdout
        self.assertRegex(out, r"50  decision  advance  acc 0.5000, to hard\n")
        self.assertNotRegex(out, r"40 +best")
        self.assertIn("best", [event["kind"] for event in self.json("show", 1)["events"]])

    def test_show_tells_what_each_stage_came_to(self):
        out = self.gradus("show", 1).stdout
        self.assertRegex(out, r"stages\nstage +rows +steps +FLOPs +stage/loss +val/acc +change\n")
        self.assertRegex(out, r"hard +40 +50 +50000000 +– +0\.\d+ +\+0\.\d+\n")
        self.assertEqual([row["name"] for row in self.json("show", 1)["stages"]], ["easy", "hard"])

    def test_compare_stage_by_stage(self):
        out = self.gradus("compare", "--by", "strategy,stage").stdout
        self.assertRegex(out, r"strategy +stage +runs +rows +steps +FLOPs +stage/loss +val/acc +change\n")
        self.assertRegex(out, r"ramp +hard +5 +40 +50 +50000000 +– +0\.\d+ ± 0\.\d+ +\+0\.\d+ ± 0\.\d+\n")
        groups = self.json("compare", "--by", "stage")["groups"]
        self.assertEqual([group["stage"] for group in groups][:2], ["easy", "hard"])
        self.assertIn("no meaning with --by stage", self.gradus("compare", "--by", "stage", "--versus", "ramp", code=64).stderr)


class Diff(CompareCase):
    def test_diff(self):
        diff = self.json("diff", 1, 6)
        self.assertEqual([p["key"] for p in diff["params"]], ["strategy"])
        self.assertIn("-return 'one_shot'\n+return 'stages'\n", diff["sources"][0]["diff"])
        self.assertEqual(diff["parts"]["step"], 10)
        self.assertEqual(diff["before"]["a"]["name"], "easy")
        out = self.gradus("diff", 1, 6).stdout
        self.assertIn("the curves part at step 10: val/acc is 0.09", out)
        self.assertIn("stage easy at step 0", out)
        self.assertIn("every shared value is the same", self.gradus("diff", 1, 1).stdout)
        db = sqlite3.connect(self.dir / "runs" / "gradus.db")
        db.execute("UPDATE params SET value = value || substr(hex(zeroblob(100)), 1, CASE run_id WHEN 1 THEN 52 ELSE 100 END) WHERE key = 'strategy'")
        db.commit()
        db.close()
        self.assertIn("one_shot" + "0" * 52 + "  stages" + "0" * 53 + "…\n", self.gradus("diff", 1, 6).stdout)
        self.gradus("diff", 1, 4294967296, code=66)


class Where(CompareCase):
    def test_grammar(self):
        runs = self.json("runs", "--where", "strategy == 'ramp' and (lr > 1e-3 or seed < 3) and best(val_acc) > 0.9")
        self.assertEqual([r["seed"] for r in runs], [1, 4])
        done = self.gradus("runs", "--where", "best(val_acc) > 0.94")
        self.assertIn("val_acc: read as the metric val/acc", done.stderr)
        err = self.gradus("compare", "--where", "stategy == 'ramp'", code=64).stderr
        self.assertIn("did you mean 'strategy'?", err)


class Housekeeping(CompareCase):
    def test_an_option_without_its_value(self):
        self.assertIn("runs: --where: expected a value after it; got none", self.gradus("runs", "--where", code=64).stderr)

    def test_tag_note_archive(self):
        self.gradus("tag", 1, "paper=table 2")
        self.gradus("note", 1, "look at this")
        self.assertEqual([r["id"] for r in self.json("runs", "--where", "tags.paper == 'table 2'")], [1])
        self.assertIn("look at this", self.gradus("show", 1).stdout)
        self.gradus("tag", 1, "paper", "--remove")
        self.gradus("tag", 1, "paper", "--remove", code=66)
        self.gradus("archive", "--where", "strategy == 'ramp'")
        self.assertEqual(len(self.json("runs")), 10)
        self.assertEqual(len(self.json("runs", "--archived")), 15)
        last = max(run["id"] for run in self.json("runs"))
        self.gradus("archive", last)
        self.assertLess(self.json("show", "@last")["id"], last, "the last of those that lists show")
        self.gradus("archive", "--where", "strategy == 'ramp'", "--undo")
        self.assertEqual(len(self.json("runs")), 14)
        self.gradus("archive", "--where", "archived != nil", "--undo")
        self.assertEqual(len(self.json("runs")), 15)

    def test_of_many_that_are_lost_eight_are_named(self):
        for lost, named, told in ((8, 8, None), (10, 8, "… and 2 more; --json names all")):
            db = sqlite3.connect(self.dir / "runs" / "gradus.db")
            db.execute("UPDATE runs SET status = 'failed', error = 'no room' WHERE id <= ?", (lost,))
            db.commit()
            db.close()
            lines = self.gradus("compare").stdout.splitlines()
            self.assertEqual(len([line for line in lines if line.endswith("failed: no room")]), named)
            self.assertEqual([line for line in lines if line.startswith("… and")], [told] if told else [])

    def test_which_way_is_better(self):
        self.assertEqual(self.json("better", "val_acc"), {"metric": "val/acc", "better": "higher", "source": "name"})
        self.assertIn("lower is better, as said", self.gradus("better", "val/acc", "lower").stdout)
        self.assertIn("lower is better: val/acc (as said)", self.gradus("compare").stdout)
        verdicts = {c["verdict"] for c in self.json("compare", "--versus", "one_shot")["versus"]["comparisons"]}
        self.assertEqual(verdicts, {"worse", "open"})
        self.assertIn("(lower before)", self.gradus("better", "val/acc", "--forget").stdout)
        self.assertIn("did you mean 'val/acc'?", self.gradus("better", "val/ac", "lower", code=64).stderr)
        self.gradus("better", "val/acc", "up", code=64)

    def test_a_metric_of_unknown_way_stays_open(self):
        db = sqlite3.connect(self.dir / "runs" / "gradus.db")
        db.execute("UPDATE keys SET name = 'val/score'")
        db.commit()
        db.close()
        out = self.gradus("compare", "--metric", "val/score", "--versus", "one_shot").stdout
        self.assertRegex(out, r"stages .*open: which way is better\?")
        self.assertIn("`gradus better val/score higher` (or lower) says it", out)
        self.assertIn("which way is better is not known", self.gradus("runs", "--where", "best(val/score) > 0", code=64).stderr)
        self.gradus("better", "val/score", "higher")
        out = self.gradus("compare", "--metric", "val/score", "--versus", "one_shot").stdout
        self.assertRegex(out, r"stages .*better")

    def test_what_failed_under_other_code_is_counted_in_english(self):
        for ids, told in (((1,), "1 run of other code has failed or was interrupted, and is left out"),
                          ((1, 2), "2 runs of other code failed or were interrupted, and are left out")):
            with contextlib.closing(sqlite3.connect(self.dir / "runs" / "gradus.db")) as db, db:
                for run in ids:
                    db.execute("UPDATE runs SET status = 'failed', config_hash = ? WHERE id = ?", ("0" * 64, run))
                    db.execute("UPDATE run_sources SET sha256 = ? WHERE run_id = ?", ("0" * 64, run))
            self.assertIn(told + "\n", self.gradus("compare").stdout)

    def test_delete_asks(self):
        err = self.gradus("delete", 1, 2, code=64).stderr
        self.assertIn("--yes", err)
        for blank, told in (("", "--where: expected a value after it"), (" \n", "expected a RUN or --where EXPR")):  # a shell's variable was empty
            self.assertIn(told, self.gradus("delete", "--where", blank, "--yes", code=64).stderr)
        self.assertEqual(len(self.json("runs")), 15)
        uid = self.json("show", 1)["uid"]
        self.assertTrue((self.dir / "runs" / uid).exists())
        self.gradus("delete", 1, 2, "--yes")
        self.assertEqual(len(self.json("runs")), 13)
        self.assertFalse((self.dir / "runs" / uid).exists())
        self.gradus("gc", "--yes", "--compact")
        self.assertEqual(self.json("doctor", "--full")["store"]["check"], "ok")

    def test_gc_counts_in_english(self):
        cache = self.dir / "runs" / "cache"
        cache.mkdir()
        for name, several in (("a", "1 stale cache entry"), ("b", "2 stale cache entries")):
            (cache / name).write_text("x")
            os.utime(cache / name, (1e9, 1e9))
            self.assertIn(several + " (", self.gradus("gc", code=64).stderr)

    def test_merged_by_several_at_once(self):
        shutil.copytree(self.made, self.dir / "node")
        merges = [subprocess.Popen([GRADUS, "merge", "node/gradus.db", "--store", "all/gradus.db"], cwd=self.dir, stderr=subprocess.PIPE,
                                   stdout=subprocess.DEVNULL) for _ in range(6)]
        self.assertEqual([(one.communicate(timeout=60)[1], one.returncode) for one in merges], [(b"", 0)] * 6)
        with contextlib.closing(sqlite3.connect(self.dir / "all/gradus.db")) as db:
            uids = [uid for uid, in db.execute("SELECT uid FROM runs")]
            self.assertEqual(db.execute("SELECT count(*) FROM params WHERE run_id NOT IN (SELECT id FROM runs)").fetchone(), (0,))
        self.assertEqual(len(uids), 15)
        self.assertEqual({name for name in os.listdir(self.dir / "all") if len(name) == 32}, set(uids))

    def test_merge_twice(self):
        shutil.copytree(self.made, self.dir / "node")
        self.gradus("delete", "--where", "seed > 2", "--yes")
        first = self.json("merge", "node/gradus.db")
        self.assertEqual((first[0]["added"], first[0]["present"]), (9, 6))
        again = self.json("merge", "node/gradus.db")
        self.assertEqual((again[0]["added"], again[0]["present"]), (0, 15))
        db = sqlite3.connect(self.dir / "runs" / "gradus.db")
        self.assertEqual(db.execute("SELECT count(*) FROM metrics").fetchone()[0], 150)
        self.gradus("merge", "runs/gradus.db", code=64)
        self.gradus("merge", "nowhere.db", code=66)

    def test_doctor(self):
        store = self.json("doctor")["store"]
        self.assertEqual((store["runs"], store["live"], store["dead"], store["values"]), (15, 0, 0, 150))
        self.assertEqual(store["check"], "ok")

    def test_commands_need_a_store(self):
        shutil.rmtree(self.dir / "runs")
        for args in (("tag", 1, "a"), ("note", 1, "a"), ("archive", 1), ("delete", 1, "--yes"), ("gc", "--yes"), ("diff", 1, 2)):
            self.gradus(*args, code=66)


if __name__ == "__main__":
    unittest.main()
