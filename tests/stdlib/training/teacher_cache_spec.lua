-- The teacher's answers from a file: when they are, that nothing else changes, and what happens to files that are not whole.
local g = require "gradus"
local host = require "gradus.host"
local instead = require "instead"
local modes = require "gradus.base.modes"
local support = require "support"
local teacher_cache = require "gradus.training.teacher_cache"

local function with_folder(fn)
  local path = os.tmpname()
  os.remove(path)
  local ok, err = pcall(fn, path)
  os.execute("rm -rf " .. path)
  if not ok then error(err, 0) end
end

-- A run; all that could tell a run with cached answers from one without.
local function session(path, options)
  options = options or {}
  local out, student = {}, nil
  local result, seen = support.with_run({ folder = path, seed = options.seed or 1, strict = options.strict }, function(run)
    local d = options.data or support.points():split({ train = .5, val = .5 }, { seed = 9 })
    g.manual_seed(options.teacher_seed or 5)
    local teacher = g.nn.MLP { 6, 20, 3 }
    for _, p in teacher:named_parameters() do
      g.no_grad(function() p:copy_(g.randn(p.shape, { generator = g.generator(options.teacher_seed or 5) })) end)
    end
    student = support.student()
    if options.before then options.before(run, teacher, student) end
    local given = { student = student, teacher = teacher, data = d, batch = 12, budget = { steps = 30 }, lr = .01, alpha = .3 }
    for key, value in pairs(options.distill or {}) do given[key] = value end
    return run:distill(given)
  end)
  out.weights, out.loss, out.kl = support.weights(student), seen.values "train/loss", seen.values "train/kl"
  out.flops, out.spent, out.warnings, out.result = result.flops, result.flops_spent, seen.warnings, result
  local store = require("gradus.store").open(path .. "/s.db")
  out.events = store:query [[SELECT name, detail FROM events WHERE kind = 'teacher_cache' AND run_id = (SELECT max(id) FROM runs)
    ORDER BY id]]
  for i, one in ipairs(out.events) do
    out.events[i] = one.name
    out.detail = host.json_decode(one.detail)
  end
  return out
end

local function same(a, b)
  for _, key in ipairs { "weights", "loss", "kl", "flops" } do expect(a[key]):equals(b[key]) end
end

local function found(path, options) return session(path, options).events[1] end

local function file_of(path)
  local pipe = io.popen("ls " .. path .. "/cache/answers-*.safetensors")
  local name = pipe:read "*l"
  pipe:close()
  return name
end

-- A target whose answers are a function's, without modules.
local function target_of(fn, ...)
  local depends = { fn, ... }
  return { kind = "logits", of = function(x) return g.no_grad(fn, x) end, identity = function() return depends end }
end

describe("a teacher's answers", function()
  it("are computed by the first run and taken by the second: alike in every bit, and as without a cache", function()
    for _, parts in ipairs { 1, 6 } do  -- of a batch, each of which is asked for by itself
      with_folder(function(path)
        local without = session(path, { distill = { teacher_cache = false, accumulate = parts } })
        local miss, hit = session(path, { distill = { accumulate = parts } }), session(path, { distill = { accumulate = parts } })
        expect({ without.events, miss.events, hit.events }):equals { { "none" }, { "miss" }, { "hit" } }
        same(miss, hit)
        same(miss, without)
      end)
    end
  end)
  it("are computed on the threads that a batch of the teacher's deserves", function()
    local threads = require "gradus.step.threads"
    with_folder(function(path)
      local asked = {}
      instead({ { threads, "with", function(_, flops, fn, ...)
        asked[#asked + 1] = flops
        return fn(...)
      end } }, function() session(path) end)
      expect(asked):equals { 12 * 2 * (6 * 20 + 20 * 3) }  -- products of 12 rows
    end)
  end)
  it("are charged for each sample, and spent only where they are computed", function()
    with_folder(function(path)
      local without = session(path, { distill = { teacher_cache = false } })
      local miss, hit = session(path), session(path)
      local row = 2 * (6 * 20 + 20 * 3)
      expect(without.spent):equals(without.flops)
      expect(hit.flops - hit.spent):equals(row * 12 * 30)
      expect(miss.spent - hit.spent):equals(row * 240)  -- all 240 rows, in batches of 12
    end)
  end)
  it("are all there is: a teacher whose answers are known is asked for no batch, not for what one costs either", function()
    with_folder(function(path)
      local asked, ask = {}, modes.all_evaluating
      for i = 1, 2 do
        asked[i] = 0
        instead({ { modes, "all_evaluating", function(...)
          asked[i] = asked[i] + 1
          return ask(...)
        end } }, function() session(path, { data = support.points(), distill = { teacher_cache = i == 2 } }) end)
      end
      expect({ asked[1] > 0, asked[2] }):equals { true, 0 }
    end)
  end)
  it("for each stage its own", function()
    with_folder(function(path)
      local stages = { { "a", advance = g.when.steps(10) }, { "b", augment = .5, advance = g.when.steps(10) }, { "c" } }
      local one = { distill = { curriculum = stages, augmentations = { noise = .1 } } }
      expect(session(path, one).events):equals { "miss", "none", "hit" }
      local again = session(path, one)
      one.distill.teacher_cache = false
      same(session(path, one), again)
    end)
  end)
  it("of a hidden layer", function()
    with_folder(function(path)
      local function run(cached)
        return session(path, { distill = { teacher_cache = cached, alpha = 1, curriculum = { target = function(s)
          return g.target.layer { teacher = s.teacher, from = "layers.0", to = "layers.0", seed = 3 }
        end } } })
      end
      local without, miss, hit = run(false), run(nil), run(nil)
      expect({ miss.events, hit.events }):equals { { "miss" }, { "hit" } }
      same(without, miss)
      same(miss, hit)
    end)
  end)
  it("in the open loop", function()
    with_folder(function(path)
      local function loop(options)
        local hashes = {}
        support.with_run({ folder = path }, function(run)
          local d = support.points()
          options.teacher, options.size, options.steps = g.nn.MLP { 6, 20, 3 }, 16, 20
          for _, b in run:batches(d, options) do hashes[#hashes + 1] = b.teacher:hash() end
        end)
        return hashes
      end
      local without, miss, hit = loop { teacher_cache = false }, loop {}, loop {}
      expect(#hit):equals(20)
      expect(miss):equals(without)
      expect(hit):equals(without)
      expect(file_of(path)):differs_from(nil)
    end)
  end)
  it("of data smaller than a batch", function()
    with_folder(function(path)
      local small = { data = support.points(7), distill = { budget = { steps = 5 } } }
      local miss, hit = session(path, small), session(path, small)
      expect({ miss.events, hit.events }):equals { { "miss" }, { "hit" } }
      small.distill.teacher_cache = false
      same(session(path, small), hit)
    end)
  end)
end)

describe("the file is another's for", function()
  local cases = {
    { "another teacher", { teacher_seed = 6 } },
    { "other data", { data = support.points(120) } },
    { "another size of batch", { distill = { batch = 10, budget = { steps = 30 } } } },
    { "the largest logits alone", { distill = { teacher_cache = { top = 2 } } } },
  }
  for _, case in ipairs(cases) do
    it(case[1], function()
      with_folder(function(path)
        session(path)
        expect(found(path, case[2])):equals "miss"
        expect(found(path, case[2])):equals "hit"
      end)
    end)
  end
  it("but not for another run, seed or split of the same data", function()
    with_folder(function(path)
      local base = support.points()
      session(path, { data = base:split({ train = .5, val = .5 }, { seed = 1 }) })
      expect(found(path, { seed = 4, data = base:split({ train = .6, val = .4 }, { seed = 2 }) })):equals "hit"
    end)
  end)
end)

describe("no answers are kept", function()
  local function why(options)
    local one
    with_folder(function(path) one = session(path, options) end)
    expect(one.events):equals { "none" }
    return one.detail.why
  end
  it("of augmented inputs", function()
    expect(why { distill = { augment = .3 } }):matches "augmented"
    expect(why { distill = { augment = g.schedule.linear(0, .3) } }):matches "augmented"
    expect(why { distill = { curriculum = { pressure = function() return { augment = .1 } end } } }):matches "augmented"
  end)
  it("of data that are made as they are needed", function()
    local function make(size) return g.randn { size, 6 }, g.zeros({ size }, { dtype = "int64" }) end
    expect(why { data = g.data.generator(make, { epoch = 100, classes = 3 }) }):matches "made as they are needed"
  end)
  it("of tokens that are hidden anew each time", function()
    local one
    with_folder(function(path)
      support.with_run({ folder = path }, function(run)
        local d = g.data.sentences { grammar = g.cfg.cfg3b(), held_out = 8 }
        local net = g.nn.Sequential { g.nn.Embedding(d.vocabulary, 4), g.nn.Linear(4, d.vocabulary) }
        for _, b in run:batches(d.val, { size = 4, steps = 3, teacher = net, augmentations = {} }) do one = b.teacher end
      end)
      local store = require("gradus.store").open(path .. "/s.db")
      one = store:query("SELECT name, detail FROM events WHERE kind = 'teacher_cache'")[1]
    end)
    expect(one.name):equals "none"
    expect(one.detail):matches "hidden each time"
  end)
  it("of a teacher that nobody can tell from another, unless they are asked for", function()
    local Noisy = g.nn.class "Noisy"
    function Noisy:init() self.layer, self.generator = g.nn.Linear(6, 3), g.generator(3) end
    function Noisy:forward(x) return self.layer(x) + g.rand({ 3 }, { generator = self.generator }) end
    expect(why { distill = { teacher = Noisy() } }):matches "^the teacher: a userdata cannot be part of what identifies the result"
    expect(function() why { distill = { teacher = Noisy(), teacher_cache = true } } end):fails_with "teacher_cache: the teacher: a userdata"
  end)
  it("where fewer samples are seen than there are rows", function()
    expect(why { distill = { budget = { steps = 19 } } }):matches "fewer samples"
    with_folder(function(path) expect(found(path, { distill = { budget = { steps = 20 } } })):equals "miss" end)  -- as many as rows
  end)
  it("of a teacher that is the student", function()
    local student = support.student()
    expect(why { distill = { student = student, teacher = student } }):matches "what is trained"
  end)
end)

describe("teacher_view = 'clean'", function()
  it("gives the teacher the inputs as they are, from the cache or not", function()
    with_folder(function(path)
      local function run(view, cached)
        return session(path, { distill = { augment = 1, augmentations = { noise = .5 }, teacher_view = view, teacher_cache = cached } })
      end
      local without, miss, hit = run("clean", false), run "clean", run "clean"
      expect({ miss.events, hit.events }):equals { { "miss" }, { "hit" } }
      same(without, miss)
      same(miss, hit)
      expect(run("augmented").loss):differs_from(hit.loss)
    end)
  end)
end)

describe("a teacher that changes while the stage lasts", function()
  it("is asked in each step from the next epoch on, with a warning", function()
    with_folder(function(path)
      local d = support.points():split({ train = .5, val = .5 }, { seed = 9 })
      local cached = session(path, { data = d, distill = { budget = { steps = 40 }, curriculum = { sample = function(s)
        if s.epoch == 2 then g.no_grad(function() s.teacher:state_dict()["layers.0.weight"]:mul_(2) end) end
        return d.train
      end } } })
      expect(cached.flops - cached.spent):equals(30 * 12 * 2 * (6 * 20 + 20 * 3) - 240 * 2 * (6 * 20 + 20 * 3))
      expect(cached.warnings[1].name):equals "teacher_moved"
    end)
  end)
end)

describe("top-k", function()
  local function logits(b) return g.log_softmax(b, -1) end
  local function rows_of(path, k)
    local kept, all = nil, nil
    local generator = g.generator(3)
    local x = g.randn({ 50, 6 }, { generator = generator })
    support.with_run({ folder = path }, function(run)
      local teacher = g.nn.Linear(6, 9)
      for _, b in run:batches(g.data.tensors(x), { size = 50, steps = 1, teacher = teacher, teacher_cache = { top = k } }) do
        kept, all = b.teacher, g.no_grad(teacher, b.x)
      end
    end)
    return kept, all
  end
  it("keeps the largest probabilities at temperature 1, and spreads the others' evenly", function()
    with_folder(function(path)
      local kept, all = rows_of(path, 4)
      local p, q = logits(kept):exp(), logits(all):exp()
      local order = q:argsort { dim = -1, descending = true }
      local ranked_p, ranked_q = p:gather(-1, order), q:gather(-1, order)
      expect((ranked_p:slice(1, 0, 4) - ranked_q:slice(1, 0, 4)):abs():amax():item()):near(0, 1e-6)
      local others = ranked_p:slice(1, 4, 9)
      expect((others:amax { -1 } - others:amin { -1 }):amax():item()):near(0, 1e-7)
      expect((others:sum { -1 } - ranked_q:slice(1, 4, 9):sum { -1 }):abs():amax():item()):near(0, 1e-6)
    end)
  end)
  it("tells its error, the mean KL(all ‖ kept) at T = 1 and T = 4", function()
    with_folder(function(path)
      local kept, all = rows_of(path, 4)
      local store = require("gradus.store").open(path .. "/s.db")
      local event = host.json_decode(store:query("SELECT detail FROM events WHERE kind = 'teacher_cache'")[1].detail)
      for _, t in ipairs { 1, 4 } do
        local log_p, log_q = logits(all:double() / t), logits(kept:double() / t)
        expect(event["kl_at_" .. t]):near((log_p:exp() * (log_p - log_q)):sum():item() / 50, 1e-6)
      end
      expect(event.kl_at_1 > 0):is_true()
      expect(event.top):equals(4)
    end)
  end)
  it("takes classes that cannot be: logits of -inf", function()
    with_folder(function(path)
      for _, k in ipairs { 2, 4 } do
        local answers
        local x = g.randn({ 20, 6 }, { generator = g.generator(3) })
        local mask = g.zeros(6)
        mask[1], mask[4] = -math.huge, -math.huge
        local _ = support.with_run({ folder = path }, function(run)
          answers = teacher_cache.answers(run, { where = "spec", given = { top = k },
            target = target_of(function(rows) return rows + mask end, mask),
            base = g.data.tensors(x).base, batch = 8, view = "clean", augmented = false })
        end)
        local logits_, all = answers.unpack(answers.rows), x + mask
        local p, q = logits(logits_):exp(), logits(all):exp()
        expect(p:isfinite():all():item()):is_true()
        local store = require("gradus.store").open(path .. "/s.db")
        local events = store:query("SELECT detail FROM events WHERE kind = 'teacher_cache' ORDER BY id")
        local event = host.json_decode(events[#events].detail)
        for _, t in ipairs { 1, 4 } do
          local a, b = logits(all:double() / t), logits(logits_:double() / t)
          local terms = (a:exp() * (a - b)):masked_fill(a:exp():eq(0), 0)
          expect(event["kl_at_" .. t]):near(terms:sum():item() / 20, 1e-6)
        end
        if k == 4 then expect((p - q):abs():amax():item()):near(0, 1e-6) end  -- what is left are the two that cannot be
      end
    end)
  end)
  it("of all but one class has no error", function()
    with_folder(function(path)
      local kept, all = rows_of(path, 8)
      expect((kept - all):abs():amax():item()):near(0, 1e-5)
    end)
  end)
  it("trains, alike from a miss and from a hit", function()
    with_folder(function(path)
      local one = { distill = { teacher_cache = { top = 1 } } }
      local miss, hit = session(path, one), session(path, one)
      expect({ miss.events, hit.events }):equals { { "miss" }, { "hit" } }
      same(miss, hit)
      expect(miss.kl):differs_from(session(path).kl)
    end)
  end)
end)

describe("answers that are no logits of classes", function()
  -- All that cache.answers returns for a teacher's function on 30 rows, from a miss and from a hit.
  local function answers_of(fn, given)
    local rows = {}
    with_folder(function(path)
      for i = 1, 2 do
        support.with_run({ folder = path }, function(run)
          local x = g.randn({ 30, 6 }, { generator = g.generator(3) })
          local answers = teacher_cache.answers(run, { where = "spec", given = given, target = target_of(fn), base = g.data.tensors(x).base,
            batch = 8, view = "clean", augmented = false })
          rows[i] = { answers.rows:clone(), fn(x) }
        end)
      end
    end)
    expect(rows[1][1]:hash()):equals(rows[2][1]:hash())
    return rows[2][1], rows[2][2]
  end
  it("are numbers, one or several a row, and of any type", function()
    for _, fn in ipairs { function(x) return x:sum { 1 } end, function(x) return x:slice(1, 0, 1) end,
      function(x) return x:slice(1, 0, 2):double() end } do
      local cached, all = answers_of(fn, true)
      expect({ cached.shape, cached.dtype }):equals { all.shape, all.dtype }
      expect((cached - all):abs():amax():item()):equals(0)
    end
  end)
  it("have no largest ones", function()
    for _, kind in ipairs { "numbers", "multilabel" } do
      expect(function()
        with_folder(function(path)
          support.with_run({ folder = path }, function(run)
            local base = g.data.tensors(g.randn(30, 6)).base
            base.labels = { kind = kind }
            teacher_cache.answers(run, { where = "spec", given = { top = 2 }, target = target_of(function(x) return x end),
              base = base, batch = 8,
              view = "clean", augmented = false })
          end)
        end)
      end):fails_with("spec: teacher_cache: top: expected logits of classes that exclude each other; the labels are " .. kind)
    end
  end)
end)

describe("a teacher on the student's body", function()
  local function parts()
    local body = g.nn.Sequential(g.nn.Linear(6, 8), g.nn.BatchNorm1d(8), g.nn.Dropout(.5))
    return body, g.nn.Sequential(body, g.nn.Linear(8, 3)), g.nn.Sequential(body, g.nn.Linear(8, 3))
  end
  local function ask(run, teacher, student)
    return teacher_cache.answers(run, { where = "spec", given = nil, target = g.target.resolve("spec", teacher),
      base = support.points().base, batch = 8,
      view = "clean", augmented = false, student = student })
  end
  it("is asked in each step, since what is trained moves it", function()
    support.with_run(nil, function(run)
      local _, teacher, student = parts()
      expect(ask(run, teacher, student)):equals(nil)
    end)
  end)
  it("is cached where the body is frozen; modes, statistics and random numbers stay as they were", function()
    support.with_run(nil, function(run)
      local body, teacher, student = parts()
      body:freeze()
      student:train()
      local statistics = support.weights(body)
      g.manual_seed(4)
      expect(ask(run, teacher, student) ~= nil):is_true()
      for _, one in student:named_modules() do expect(one.training):is_true() end
      expect(support.weights(body)):equals(statistics)
      local after = g.rand(2):totable()
      g.manual_seed(4)
      expect(g.rand(2):totable()):equals(after)
    end)
  end)
end)

describe("a file that is not whole", function()
  local function damage(name, how)
    it(name .. " is made anew, with a warning", function()
      with_folder(function(path)
        local miss = session(path)
        how(file_of(path))
        local again = session(path)
        expect(again.events):equals { "miss" }
        expect(again.warnings[1].name):equals "teacher_cache"
        expect(again.warnings[1].detail.text):matches "computed anew"
        same(miss, again)
        expect(found(path)):equals "hit"
      end)
    end)
  end
  damage("because a byte is another", function(file)
    local handle = assert(io.open(file, "r+b"))
    handle:seek("end", -100)
    local byte = handle:read(1)
    handle:seek("end", -100)
    handle:write(string.char((byte:byte() + 1) % 256))
    handle:close()
  end)
  damage("because it ends early", function(file) os.execute("truncate -s -40 " .. file) end)
  damage("because it is empty", function(file) os.execute("truncate -s 0 " .. file) end)
  damage("because it is something else", function(file) os.execute("echo no tensors here > " .. file) end)
  it("is an error with --strict", function()
    with_folder(function(path)
      session(path)
      os.execute("truncate -s 10 " .. file_of(path))
      expect(function() session(path, { strict = true }) end):fails_with "computed anew"
    end)
  end)
  it("is not left behind where it could not be put in its place", function()
    with_folder(function(path)
      local from
      instead({ { os, "rename", function(name)
        from = name
        assert(host.exists(name))
        return nil, "no room"
      end } }, function() expect(function() session(path) end):fails_with "teacher_cache: no room" end)
      expect(host.exists(from)):is_false()
      expect(found(path)):equals "miss"
    end)
  end)
  it("because its maker was killed is in nobody's way", function()
    with_folder(function(path)
      session(path)
      local file = file_of(path)
      os.execute(("mv %s %s.part && truncate -s 50 %s.part"):format(file, file, file))
      expect(found(path)):equals "miss"
      expect(found(path)):equals "hit"
      expect(host.exists(file .. ".part")):is_false()
    end)
  end)
end)

describe("what cannot be cached is refused where it was asked for:", function()
  local cases = {
    { "augmented inputs", { teacher_cache = true, augment = .3 }, "teacher_cache: the teacher sees augmented inputs" },
    { "a word", { teacher_cache = "yes" }, "distill: teacher_cache: expected true, false or { top = … }; got 'yes'" },
    { "a misspelt option", { teacher_cache = { tops = 3 } }, "did you mean 'top'?" },
    { "no number", { teacher_cache = {} }, "'top' is missing" },
    { "half a class", { teacher_cache = { top = 1.5 } }, "expected a whole number from 1" },
    { "as many as there are", { teacher_cache = { top = 3 } }, "expected fewer than the 3 classes; got 3" },
    { "another view", { teacher_view = "blurred" }, "distill: 'teacher_view': expected 'augmented', 'clean'; got 'blurred'" },
    { "mixup seen clean", { teacher_view = "clean", augmentations = { mixup = .2 }, augment = .1 }, "which have no clean view" },
  }
  for _, case in ipairs(cases) do
    it(case[1], function()
      with_folder(function(path) expect(function() session(path, { distill = case[2] }) end):fails_with(case[3]) end)
    end)
  end
end)
