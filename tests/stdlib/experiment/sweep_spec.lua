-- The parts of a sweep: what is searched, in which order, who goes on, what mattered.
local effects = require "gradus.experiment.effects"
local halving = require "gradus.experiment.halving"
local host = require "gradus.host"
local params = require "gradus.experiment.params"
local search = require "gradus.experiment.search"
local space = require "gradus.experiment.space"
local sweep = require "gradus.experiment.sweep"

local specs = params.declare { T = 2, lr = 1e-2, n = params.int(3), tag = params.choice { "a", "b" } }

describe("a sweep", function()
  it("a range gives numbers within it, a list its values", function()
    local lr, n, T = space.parse("lr", "log(1e-4,1e-1)", specs), space.parse("n", "lin(1,4)", specs), space.parse("T", "2,4", specs)
    assert(lr:at(0) == 1e-4 and math.abs(lr:at(.5) - 10 ^ -2.5) < 1e-7 and lr:at(.999999) <= .1)
    assert(n:at(0) == 1 and n:at(.5) == 3 and n:at(.99) == 4)
    assert(T:at(0) == 2 and T:at(.49) == 2 and T:at(.5) == 4 and T:at(.999) == 4)
    assert(math.abs(lr:share(1e-3) - 1 / 3) < 1e-9)
    for key, wrong in pairs { T = "lin(4,2)", lr = "log(0,1)", tag = "lin(0,1)", n = "lin(0.5,2)" } do
      assert(not pcall(space.parse, key, wrong, specs), key)
    end
    assert(not pcall(space.parse, "lr", "log(1,2,3)", specs) and not pcall(space.parse, "lr", "log(a,2)", specs))
  end)

  it("the radical inverse is SciPy's Halton sequence", function()
    -- scipy.stats.qmc.Halton(3, scramble=False).random(6)
    local expected = { { 0, 0, 0 }, { .5, 1 / 3, .2 }, { .25, 2 / 3, .4 }, { .75, 1 / 9, .6 }, { .125, 4 / 9, .8 }, { .625, 7 / 9, .04 } }
    for i, row in ipairs(expected) do
      for k, base in ipairs { 2, 3, 5 } do assert(math.abs(search.radical_inverse(i - 1, base) - row[k]) < 1e-12) end
    end
  end)

  it("a grid has each combination once; draws depend on seed and number alone", function()
    local axes = { space.parse("T", "1,2,3", specs), space.parse("tag", "a,b", specs) }
    local propose, seen, count = search.grid(axes), {}, 0
    for i = 1, 6 do
      local one = propose(i)
      seen[one.T .. one.tag] = true
    end
    for _ in pairs(seen) do count = count + 1 end
    assert(count == 6 and propose(7) == nil)
    local ranges = { space.parse("lr", "log(1e-4,1e-1)", specs) }
    for _, name in ipairs { "random", "halton" } do
      local one, other, third = search[name](ranges, 1), search[name](ranges, 1), search[name](ranges, 2)
      assert(one(5).lr == other(5).lr and one(5).lr ~= one(6).lr and one(5).lr ~= third(5).lr)
    end
  end)

  it("Halton's points leave no quarter of a range empty", function()
    local propose, counts = search.halton({ space.parse("lr", "lin(0,1)", specs), space.parse("T", "lin(0,1)", specs) }, 3), { 0, 0, 0, 0 }
    for i = 1, 16 do
      local place = 1 + math.floor(4 * propose(i).lr)
      counts[place] = counts[place] + 1
    end
    for _, count in ipairs(counts) do assert(count >= 3 and count <= 5) end
  end)

  it("Halton's axes have sixteen different primes, in the order of the numbers", function()
    local axes, primes = {}, { 2, 3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37, 41, 43, 47, 53 }
    expect(search.most_axes):equals(#primes)
    for k = 1, #primes do axes[k] = { key = "p" .. k, at = function(_, share) return share end } end
    local propose = search.halton(axes, 5)
    local first = propose(1)
    for k, prime in ipairs(primes) do
      for i = 2, prime - 1 do  -- they stand in a row, a prime's share apart
        expect((propose(i)["p" .. k] - first["p" .. k]) % 1):near((i - 1) / prime, 1e-9)
      end
    end
  end)

  it("halving looks at 1, 3, 9 and lets the best third go on", function()
    local looks = {}
    for i = 1, 30 do looks[#looks + 1] = halving.looks(i) and i or nil end
    expect(looks):equals { 1, 3, 9, 27 }
    local one = halving.new(function(a, b) return a > b end)
    local function goes_on(who, count, value, training)
      local rung = halving.rung(training or 1, count)
      one:reached(who, rung, value)
      return one:goes_on(who, rung)
    end
    assert(goes_on(1, 1, .1) and goes_on(2, 1, .5))  -- too few to say
    assert(not goes_on(3, 1, .3) and goes_on(4, 1, .9))
    local yes, limit = goes_on(5, 1, .2)
    assert(not yes and limit == .9)
    assert(not one:goes_on(2, halving.rung(1, 1)))
    assert(not goes_on(6, 1, .4) and one:goes_on(2, halving.rung(1, 1)))  -- the second of six
    assert(goes_on(5, 3, .2) and goes_on(5, 1, .01, 2))  -- the first of another rung, of another training
    assert(halving.rung(1, 9) > halving.rung(1, 3) and halving.rung(2, 1) > halving.rung(1, 9))
  end)

  it("halving takes what earlier runs have shown", function()
    local one = halving.new(function(a, b) return a < b end)
    one:showed("a", 1, { 5, 7, 2, 1, 9 })
    expect(one.rungs):equals { [halving.rung(1, 1)] = { a = 5 }, [halving.rung(1, 3)] = { a = 2 } }
    one:showed("b", 2, {})
    assert(one.rungs[halving.rung(2, 1)] == nil)
  end)

  local function trials_of(value_of)
    local trials = {}
    for T = 1, 4 do
      for n = 1, 4 do
        for _, tag in ipairs { "a", "b" } do trials[#trials + 1] = { given = { T = T, n = n, tag = tag }, value = value_of(T, n, tag) } end
      end
    end
    return trials
  end

  it("importance is the variance of a parameter's own part", function()
    local axes = { space.parse("T", "1,2,3,4", specs), space.parse("n", "1,2,3,4", specs), space.parse("tag", "a,b", specs) }
    -- variances over the grid: T 1.25, n 0, tag .25
    local shares = effects.importance(axes, trials_of(function(T, _, tag) return T + (tag == "b" and 1 or 0) end))
    assert(math.abs(shares.T - 1.25 / 1.5) < 1e-9 and shares.n < 1e-9 and math.abs(shares.tag - .25 / 1.5) < 1e-9)
    assert(next(effects.importance(axes, {})) == nil)
    assert(next(effects.importance(axes, trials_of(function() return 1 end))) == nil)  -- nothing varies
  end)

  it("the advice points beyond an edge and leaves out what does nothing", function()
    local axes = { space.parse("T", "1,2,4", specs), space.parse("lr", "log(1e-4,1e-1)", specs) }
    local ranked = {}
    for i = 1, 12 do
      ranked[i] = { given = { T = ({ 4, 2, 1 })[1 + (i - 1) % 3], lr = 1e-1 * 10 ^ (-(i - 1) / 4) }, value = -i, runs = 1 }
    end
    local text = table.concat(effects.advice(axes, ranked, { T = .5, lr = .4 }), "\n")
    assert(text:find "largest value: %-%-set T=4,8" and text:find "high end of its range" and text:find "--seeds 3", text)
    text = table.concat(effects.advice(axes, ranked, { T = .001, lr = .4 }), "\n")
    assert(text:find "T: alone without effect", text)
  end)
end)

describe("trials that came to as much as the best", function()
  local axes = { { key = "T", values = { 1, 2, 4 } } }
  local function ranked(...)
    local list = {}
    for i, one in ipairs { ... } do list[i] = { given = { T = one[1] }, value = one[2], number = i, runs = 2, ids = { i } } end
    return list
  end
  it("leave no value to go beyond", function()
    expect(effects.advice(axes, ranked({ 4, .9 }, { 2, .9 }, { 1, .5 }), {})):equals {}
    expect(#effects.advice(axes, ranked({ 4, .9 }, { 2, .8 }, { 1, .8 }), {})):equals(1)
  end)
  it("are named under the table", function()
    local said, real = {}, print
    local swept = { axes = axes, by = "val/acc", options = { store = "x" } }
    local list = ranked({ 4, .9 }, { 2, .9 }, { 1, .9 })
    _G.print = function(text) said[#said + 1] = text end
    local ok, why = pcall(require("gradus.experiment.sweep_report").print, { sweep = swept, ranked = list, trials = list, best = list[1] })
    _G.print = real
    if not ok then error(why, 0) end
    local text = table.concat(said, "\n")
    assert(text:find("best(val/acc)", 1, true) and text:find("As good as trial 1: 2, 3. The first of them stands for all.", 1, true), text)
  end)
end)

describe("advice about a list", function()
  local function advice(values, best)
    return effects.advice({ { key = "T", values = values } }, { { given = { T = best }, runs = 2 } }, {})
  end
  for _, one in ipairs { { { 2, 4, 1 }, 4, "largest value: --set T=4,8" }, { { 2, 4, 1 }, 1, "smallest value: --set T=1,0.5" },
    { { 1, 10 }, 10, "largest value: --set T=10,20" }, { { 1, 8 }, 1, "smallest value: --set T=1,0.5" },
    { { .1, 1, 10 }, 10, "largest value: --set T=10,100" },
    { { -1, 0, 2 }, -1, "smallest value: --set T=-1,-2" }, { { -1, 0, 2 }, 2, "largest value: --set T=2,4" },
    { { 0, 3 }, 0, "smallest value: --set T=0,-3" }, { { -3, -1 }, -1, "largest value: --set T=-1,1" } } do
    it("goes beyond " .. one[3], function() expect(advice(one[1], one[2])):equals { "T: the best is its " .. one[3] } end)
  end
  it("says nothing of what lies within, of one value, of what is no number", function()
    expect(advice({ 2, 4, 1 }, 2)):equals {}
    expect(advice({ 3 }, 3)):equals {}
    expect(advice({ 1, "a" }, 1)):equals {}
    expect(advice({ true, false }, true)):equals {}
  end)
end)

-- Calls fn(swept) with a fresh store; swept(options) is a sweep over runs that log their T under `by`.
local function in_store(fn)
  local folder = ("%s/gradus-sweep-%s"):format(os.getenv "TMPDIR" or "/tmp", host.random_hex(8))
  host.mkdirs(folder)
  local ok, found = pcall(fn, function(options)
    local given = { set = { T = { 1, 3, 2 } }, jobs = 3, name = "spec", params = { T = 1 },
      command = { store = folder .. "/s.db", quiet = true, script = "spec" } }
    given.run = function(run, p) run:log { [options.by] = p.T + .25 * run.seed } end
    for name, value in pairs(options) do given[name] = value end
    return sweep(given)
  end)
  os.execute("rm -rf '" .. folder .. "'")
  if not ok then error(found, 0) end
  return found
end

-- The best T first.
local function ranked(key, options)
  local given = { by = key }
  for name, value in pairs(options or {}) do given[name] = value end
  local found, list = in_store(function(swept) return swept(given) end), {}
  for i, trial in ipairs(found.ranked) do list[i] = trial.given.T end
  expect(found.best):equals(found.ranked[1])
  return list
end

describe("what a sweep found", function()
  it("is the mean over the seeds of each trial, for programs too", function()
    local json = in_store(function(swept) return require("gradus.experiment.sweep_report").json(swept { by = "val/acc", seeds = 2 }) end)
    expect({ json.by, json.direction, json.search, json.skipped, json.failed }):equals { "val/acc", "max", "grid", 0, 0 }
    local values, T = {}, {}
    for i, trial in ipairs(json.trials) do values[i], T[i] = trial.value, trial.params.T end
    expect(T):equals { 1, 3, 2 }
    expect(values):near { 1.375, 3.375, 2.375 }
    expect({ json.best.trial, json.best.params.T, #json.best.runs, json.best.stopped }):equals { 2, 3, 2, false }
    expect(json.best.sd):near(.25 / 2 ^ .5)
    local down = in_store(function(swept) return require("gradus.experiment.sweep_report").json(swept { by = "val/loss" }) end)
    expect({ down.direction, down.best.params.T, down.best.sd }):equals { "min", 1 }
  end)
  it("is not looked for again", function()
    in_store(function(swept)
      local first = swept { by = "val/acc", seeds = 2 }
      expect(first.sweep.skipped):equals(0)
      local function never() error "again" end
      local again = swept { by = "val/acc", seeds = 2, run = never }
      expect(again.sweep.skipped):equals(6)
      expect({ again.best.given.T, again.best.value, again.best.runs }):equals { 3, 3.375, 2 }
      local more = swept { by = "val/acc", seeds = 3 }
      expect(more.sweep.skipped):equals(6)
      expect({ more.best.value, more.best.runs }):equals { 3.5, 3 }
    end)
  end)
  it("tries each set of parameters once, though whole numbers come again", function()
    local found = in_store(function(swept)
      return swept { by = "val/acc", params = { T = params.int(2) }, set = { T = { lin = { 1, 3 } } }, trials = 8 }
    end)
    local tried = {}
    for i, trial in ipairs(found.trials) do tried[i] = trial.given.T end
    table.sort(tried)
    expect({ tried, found.sweep.count }):equals { { 1, 2, 3 }, 3 }
  end)
  it("has no place for a run that failed", function()
    local found = in_store(function(swept)
      return swept { by = "val/acc", run = function(run, p)
        if p.T == 3 then error "no luck" end
        run:log { ["val/acc"] = p.T == 1 and 0 / 0 or p.T }
      end }
    end)
    expect({ found.sweep.failed, #found.trials, #found.ranked, found.best.given.T }):equals { 1, 3, 1, 2 }
  end)
end)

describe("which way is better", function()
  for key, up in pairs { ["val/acc"] = true, ["my/f1_score"] = true, ["val/loss"] = false, ["test/PERPLEXITY"] = false, mae = false } do
    it("is told by the name " .. key, function() expect(ranked(key)):equals(up and { 3, 2, 1 } or { 1, 2, 3 }) end)
  end
  it("is what was said, whatever the name", function()
    for _, key in ipairs { "val/acc", "val/loss", "own" } do
      expect(ranked(key, { direction = "max" })):equals { 3, 2, 1 }
      expect(ranked(key, { direction = "min" })):equals { 1, 2, 3 }
      expect(ranked(key, { direction = "higher" })):equals { 3, 2, 1 }
      expect(ranked(key, { direction = "lower" })):equals { 1, 2, 3 }
    end
  end)
  it("is what the experiment says, before a run has told the store", function()
    for metric, key in pairs { ["val/own"] = "val/own", own = "result/own", score = "result/score", ["val/acc"] = "val/acc" } do
      for better, order in pairs { higher = { 3, 2, 1 }, lower = { 1, 2, 3 } } do
        local declared = require("gradus.experiment.experiment").experiment { name = "spec", params = { T = 1 },
          metrics = { [metric] = { better = better } }, run = function(run, p) run:log { [key] = p.T } end }
        expect(ranked(key, { experiment = declared })):equals(order)
      end
    end
  end)
  it("is up for a score", function()
    expect(ranked "val/score"):equals { 3, 2, 1 }
    expect(ranked("val/score", { direction = "min" })):equals { 1, 2, 3 }
    expect(ranked "val/brier_score"):equals { 1, 2, 3 }
  end)
  it("must be said where the name says nothing", function()
    expect(function() ranked "own" end):fails_with("sweep: which way 'own' is better is not known; expected direction max or min, "
      .. 'or metrics = { ["own"] = { better = "higher" } } of the experiment')
    -- A word inside of another, and what goes both ways.
    for _, key in ipairs { "val/account", "val/scores_of", "acc_loss" } do
      expect(function() ranked(key) end):fails_with("which way '" .. key .. "' is better is not known")
    end
    expect(function() ranked("own", { direction = "up" }) end):fails_with "direction"
  end)
end)

describe("the runs of a sweep", function()
  local farm, instead = require "gradus.experiment.farm", require "instead"
  -- Lays a sweep out; each job that is begun ends as outcome(label) says. Returns the labels, the farm's options, what was said, and what
  -- was found. foot: called with the farm's options after each end.
  local function laid_out(options, outcome, foot)
    local labels, asked, said, found = {}, nil, "", nil
    instead({ { host, "write", function(_, text) said = said .. text end },
      { farm, "work", function(how)
        asked = how
        local job = how.next()
        while job do
          labels[#labels + 1] = job.label
          how.ended(job, outcome(job.label))
          if foot then foot(how) end
          job = how.next()
        end
      end } }, function()
      in_store(function(swept)
        options.by = "val/acc"
        found = swept(options)
      end)
    end)
    return labels, asked, said, found
  end
  local number = 0
  local function logs(value)
    number = number + 1
    return { text = host.json_encode { id = number, uid = "u", status = "finished", value = value }, code = 0, signal = 0 }
  end
  local function fails(code, exited) return { error = { message = "no luck" }, code = code, signal = 0, exited = exited or false } end

  it("are named by their number, what they try, and their seed where there are several", function()
    local labels, asked = laid_out({}, function() return logs(1) end)
    expect(labels):equals { "1/3 T=1", "2/3 T=3", "3/3 T=2" }
    expect({ asked.jobs, asked.quiet, asked.wide }):equals { 3, true, #"1/3 T=1" }
    labels = laid_out({ seeds = 2, set = { T = { 1, 1000 } } }, function() return logs(1) end)
    expect(labels):equals { "1/2 T=1 seed 1", "1/2 T=1 seed 2", "2/2 T=1000 seed 1", "2/2 T=1000 seed 2" }
    expect((select(2, laid_out({ set = { T = { 1, 1000 } } }, function() return logs(1) end))).wide):equals(#"2/2 T=1000")
  end)
  it("are told of in a line below: how many are done, and the best so far", function()
    local lines, value = {}, { .5, .25, .75 }
    laid_out({}, function() return logs(table.remove(value, 1)) end, function(how) lines[#lines + 1] = how.foot(0, 2, 65) end)
    expect(lines):equals { "1 of 3 runs  2 running  1m 05s  best val/acc 0.5 at T=1",
      "2 of 3 runs  2 running  1m 05s  best val/acc 0.5 at T=1", "3 of 3 runs  2 running  1m 05s  best val/acc 0.75 at T=2" }
  end)
  it("that fail are told of once, and end all where the script wants to or was called wrongly", function()
    local labels, _, said, found = laid_out({}, function(label) return label:find "^3" and logs(1) or fails(70) end)
    expect({ #labels, said, found.sweep.failed, found.sweep.code, found.sweep.ending, #found.ranked })
      :equals { 3, "1/3 T=1: no luck\n", 2, 70, nil, 1 }
    labels, _, _, found = laid_out({}, function(label) return label:find "^1" and fails(65) or fails(64) end)
    expect({ #labels, found.sweep.code, found.sweep.ending, found.best }):equals { 2, 65, 64 }
    labels, _, said, found = laid_out({}, function() return fails(7, true) end)
    expect({ #labels, said, found.sweep.ending }):equals { 1, "1/3 T=1: os.exit(7)\n", 7 }
  end)
  it("of one seed go before the others where halving looks at them", function()
    local labels, _, _, found = laid_out({ seeds = 2, halving = true }, function() return logs(1) end)
    expect(labels):equals { "1/3 T=1 seed 1", "2/3 T=3 seed 1", "3/3 T=2 seed 1", "1/3 T=1 seed 2", "2/3 T=3 seed 2", "3/3 T=2 seed 2" }
    expect(found.best.runs):equals(2)
    labels = laid_out({ seeds = 2, halving = true }, function(label) return label:find "^2" and fails(70) or logs(1) end)
    expect(labels):equals { "1/3 T=1 seed 1", "2/3 T=3 seed 1", "3/3 T=2 seed 1", "1/3 T=1 seed 2", "3/3 T=2 seed 2" }
  end)
  it("stop at a rung where others came to more, and are told from what on they would not have", function()
    local answers = {}
    laid_out({ halving = true, set = { T = { 1, 2, 3, 4, 5, 6 } } }, function() return logs(1) end, function(how)
      local trial, values = #answers + 1, { .1, .5, .3, .9, .2, .6 }
      local text = ("%d %.17g"):format(halving.rung(1, 1), values[trial])
      answers[trial] = how.asked({ one = { trial = { number = trial } } }, text)
    end)
    expect(answers):equals { "go", "go", "stop 0.5", "go", ("stop %.17g"):format(.9), "go" }
  end)
end)

describe("what a sweep is given", function()
  it("must be something to search, by a metric", function()
    local function swept(options) return function() in_store(function(made) return made(options) end) end end
    expect(swept { set = { T = { 1 } }, by = "val/acc" })
      :fails_with "sweep: nothing to search; expected a list of values or a range, such as --set lr=1e-3,1e-2"
    expect(function() sweep { set = { T = { 1, 2 } } } end):fails_with "sweep: expected set = { … } and by = 'metric'"
    expect(function() sweep { by = "val/acc" } end):fails_with "sweep: expected set = { … } and by = 'metric'"
    expect(swept { set = { T = { lin = { 1, 2 } } }, by = "val/acc", search = "grid" }):fails_with "sweep: T is a range, which has no grid"
    for _, wrong in ipairs { { trials = 0 }, { seeds = 0 }, { search_seed = -1 }, { search = "best" }, { halving = 1 } } do
      wrong.by = "val/acc"
      expect(swept(wrong)):fails_with "sweep: '"
    end
  end)
  it("fixes what has one value, and tries all of a grid or as many as are said", function()
    in_store(function(swept)
      local found = swept { by = "val/acc", set = { T = { 1, 3, 2 }, lr = { 5 } }, params = { T = 1, lr = .1 }, trials = 2, name = "fixed" }
      expect({ #found.trials, #found.sweep.axes, found.trials[1].plan[1].given, found.sweep.search })
        :equals { 2, 1, { T = 1, lr = 5 }, "grid" }
      found = swept { by = "val/acc", set = { T = { lin = { 1, 2 } } }, name = "range" }
      expect({ #found.trials, found.sweep.search }):equals { 20, "halton" }
    end)
  end)
  it("has Optuna begin with its seed, or 0", function()
    local optuna, seeds = require "gradus.experiment.optuna", {}
    require "instead"({ { optuna, "start", function(_, seed)
      seeds[#seeds + 1] = seed
      error "begun"
    end } }, function()
      in_store(function(swept)
        for _, seed in ipairs { false, 7 } do
          expect(function()
            swept { by = "val/acc", set = { T = { 1, 2 } }, search = "optuna", search_seed = seed or nil }
          end):fails_with "begun"
        end
      end)
    end)
    expect(seeds):equals { 0, 7 }
  end)
end)

describe("a sweep over what is known of runs before", function()
  local farm, instead, known_runs = require "gradus.experiment.farm", require "instead", require "gradus.experiment.known_runs"
  -- Does a sweep whose runs known(number, seed) gives, the others as outcome(job, how) says. Returns the labels of the jobs that began, the
  -- jobs, what was written, the farm's options and what was found.
  local function swept_over(known, options, outcome)
    local labels, jobs, said, how, found = {}, {}, {}, nil, nil
    instead({ { host, "write", function(to, text) said[#said + 1] = to .. " " .. text end },
      { known_runs, "look_up", function(self, trials)
        for _, one in ipairs(trials) do
          self.known[one.number] = {}
          for seed = 1, self.seeds do self.known[one.number][seed] = known(one.number, seed) end
        end
      end },
      { farm, "work", function(given)
        how = given
        for job in given.next do
          labels[#labels + 1], jobs[#jobs + 1] = job.label, job.one
          given.ended(job, outcome(job, given))
        end
      end } }, function()
      in_store(function(swept)
        options.by = options.by or "val/acc"
        found = swept(options)
      end)
    end)
    return labels, jobs, table.concat(said), how, found
  end
  local function logs(value, status)
    return { text = host.json_encode { id = 90, uid = "u", status = status or "finished", value = value }, code = 0, signal = 0 }
  end
  local function ran(id, value, more)
    local run = { result = { id = id, value = value, stopped = false } }
    for name, each in pairs(more or {}) do (name == "stopped" and run.result or run)[name] = each end
    return run
  end
  local folder = os.tmpname()
  os.remove(folder)
  host.mkdirs(folder)
  after_all(function() os.execute("rm -rf " .. folder) end)
  local function command(more)
    local given = { store = folder .. "/s.db", script = "spec" }
    for name, value in pairs(more or {}) do given[name] = value end
    return given
  end

  it("skips those that finished, says how many, and goes on with those that were interrupted", function()
    local function known(number, seed) return number == 1 and ran(seed, seed) or number == 2 and seed == 1 and { left = 7 } or nil end
    local plain = command()
    local labels, jobs, said, how, found = swept_over(known, { seeds = 2, command = plain }, function() return logs(5) end)
    expect(labels):equals { "2/3 T=3 seed 1", "2/3 T=3 seed 2", "3/3 T=2 seed 1", "3/3 T=2 seed 2" }
    expect({ jobs[1].left, jobs[2].left, jobs[3].left }):equals { 7, nil, nil }
    expect(said):equals "2 2 of 6 finished runs are skipped\n"
    expect({ how.store, how.quiet or false, found.sweep.skipped, found.trials[1].value, found.trials[1].ids })
      :equals { plain.store, false, 2, 1.5, { 1, 2 } }
    for _, silent in ipairs { "quiet", "json" } do
      local given = command { [silent] = true, device = "simulated", jobs = 5 }
      local _, _, text, its = swept_over(known, { seeds = 2, command = given, jobs = false }, function() return logs(5) end)
      expect({ text, its.quiet, its.device, its.jobs }):equals { "", true, "simulated", 5 }
    end
    local _, _, text, its = swept_over(function() end, { command = command(), jobs = false }, function() return logs(5) end)
    expect({ text, its.jobs }):equals { "", "auto" }
  end)
  it("leaves the other seeds of a set that halving stopped before, and takes up those of one that it did not", function()
    local function known(number, seed)
      if seed == 2 then return number == 3 and ran(32, 9) or number == 1 and { left = 12 } or nil end
      return ran(number, number, { stopped = number == 2, stopped_at = false })
    end
    local labels, jobs, _, _, found = swept_over(known, { seeds = 2, halving = true }, function() return logs(4) end)
    expect({ labels, jobs[1].left, jobs[1].seed, found.sweep.skipped }):equals { { "1/3 T=1 seed 2" }, 12, 2, 4 }
    expect({ found.trials[1].value, found.trials[2].value, found.trials[3].value }):equals { 2.5, 2, 6 }
    expect({ found.trials[1].stopped, found.trials[2].stopped }):equals { false, true }
  end)
  it("has the stopped run that came farthest go on first where it is among the best by now", function()
    local far, near = halving.rung(1, 3), halving.rung(1, 1)
    local rungs = { near, far, near }
    local function known(number) return ran(10 + number, number, { stopped = true, stopped_at = rungs[number] }) end
    local good, asked = { true, true, false }, {}
    local labels, jobs, found
    instead({ { halving, "new", function()
      return { goes_on = function(_, who, rung)
        asked[#asked + 1] = { who, rung }
        return good[who]
      end }
    end } }, function()
      local _
      labels, jobs, _, _, found = swept_over(known, { halving = true }, function(job)
        return job.one.trial.number == 2 and logs(8) or { error = { message = "gone" }, code = 70, signal = 0, exited = false }
      end)
    end)
    expect(labels):equals { "2/3 T=3 goes on", "1/3 T=1 goes on" }
    expect({ jobs[1].left, jobs[1].seed, jobs[1].promoted, jobs[2].left }):equals { 12, 1, true, 11 }
    expect({ asked[1], asked[2] }):equals { { 1, near }, { 2, far } }
    local values = {}
    for i, one in ipairs(found.trials) do values[i] = one.value end
    expect({ values, found.sweep.failed, found.best.number }):equals { { 1, 8, 3 }, 1, 2 }  -- what has failed keeps what it had come to
    expect({ found.trials[1].stopped, found.trials[2].stopped, found.trials[3].stopped_at }):equals { true, false, near }
  end)
  it("ranks sets of the same value by their number", function()
    local _, _, _, _, found = swept_over(function(number) return ran(number, number == 2 and 1 or 2) end, {}, error)
    local order = {}
    for i, one in ipairs(found.ranked) do order[i] = one.number end
    expect(order):equals { 1, 3, 2 }
  end)
  it("takes a score's highest, and says so unless it is to be quiet", function()
    local function known(number) return ran(number, number) end
    local _, _, said = swept_over(known, { by = "my/Score", command = command { json = true } }, error)
    expect(said):equals "2 sweep: my/Score: higher is taken for better; --direction min says else\n"
    _, _, said = swept_over(known, { by = "my/Score", command = command { quiet = true } }, error)
    expect(said):equals ""
  end)
  it("draws from the seed 0 unless another is said, and tries Halton's points on as many axes as there are primes", function()
    local function tried(seed, way)
      local _, _, _, _, found = swept_over(function(number) return ran(number, 1) end, { search = way, search_seed = seed, trials = 3,
        set = { T = { lin = { 1, 2 } } } }, error)
      return { found.trials[1].given.T, found.trials[3].given.T, #found.trials }
    end
    for _, way in ipairs { "halton", "random" } do
      expect(tried(nil, way)):equals(tried(0, way))
      expect(tried(nil, way)):differs_from(tried(1, way))
    end
    for _, count in ipairs { 16, 17 } do
      local all, set = {}, {}
      for i = 1, count do all["p" .. i], set["p" .. i] = 1, { lin = { 1, 2 } } end
      local ok, why = pcall(swept_over, function(number) return ran(number, 1) end, { params = all, set = set, trials = 1 }, error)
      expect({ ok, not ok and host.error_text(why):match "sweep: halton.*" or "" })
        :equals { count == 16, count == 16 and "" or "sweep: halton: expected at most 16 parameters; got 17" }
    end
  end)
  it("leaves what a signal has stopped as it was, and a halved one for later", function()
    for _, signal in ipairs { false, true } do
      local found
      instead({ { host, "stopping", function() return signal end }, { known_runs, "stopped_at", function() return false end } }, function()
        local _
        _, _, _, _, found = swept_over(function() end, { halving = true, seeds = 2, set = { T = { 1, 2 } } },
          function() return logs(3, "interrupted") end)
      end)
      expect({ found.trials[1].value or false, found.trials[1].stopped, found.trials[1]:done() })
        :equals(signal and { false, false, 0 } or { 3, true, 1 })
    end
  end)
  it("tells Optuna of a set when no run of it is to come, and asks for as many as are wanted", function()
    for _, halved in ipairs { false, true } do
      local told, asked, closed = {}, 0, 0
      local labels
      instead({ { require "gradus.experiment.optuna", "start", function()
        return { before = function() return { { T = 5 } } end, close = function() closed = closed + 1 end,
          ask = function()
            asked = asked + 1
            return { T = asked }
          end,
          tell = function(_, one, went_on) told[#told + 1] = { one.number, one.value, went_on, one:done() } end }
      end } }, function()
        labels = swept_over(function(number, seed)
          return number == 1 and ran(seed, seed) or number == 2 and seed == 1 and { left = 7 } or nil
        end, { seeds = 2, trials = 3, search = "optuna", set = { T = { 1, 2 } }, halving = halved or nil }, function(job)
            return job.one.trial.number == 3 and { error = { message = "no luck" }, code = 70, signal = 0, exited = false } or logs(4)
          end)
      end)
      if halved then
        expect(labels):equals { "2/3 T=1 seed 1", "2/3 T=1 seed 2", "3/3 T=2 seed 1" }
        expect(told):equals { { 1, 1.5, nil, 2 }, { 2, 4, false, 2 }, { 3, nil, false, 1 } }
      else
        expect(labels):equals { "2/3 T=1 seed 1", "2/3 T=1 seed 2", "3/3 T=2 seed 1", "3/3 T=2 seed 2" }
        expect(told):equals { { 1, 1.5, nil, 2 }, { 2, 4, false, 2 }, { 3, nil, false, 2 } }
      end
      expect({ asked, closed }):equals { 2, 1 }
    end
  end)
end)
