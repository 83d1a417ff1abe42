--- For specs of options: a small problem on which each of them has something to change, trainings that tell all that can be seen of
--- them, and a matrix that tries each option alone and beside every other.
local g = require "gradus"
local host = require "gradus.host"
local support = require "support"
local nn = g.nn

local trials = {}

trials.NONE = {}  -- as an option's value: left out

-- --- the problem ------------------------------------------------------------------------------------------------------------

-- 120 rows, and as validation data rows with wrong labels, which training makes ever worse: the first evaluation is the best one.
local x = g.randn({ 160, 6 }, { generator = g.generator(17) })
local y = (x:slice(1, 0, 3) + x:slice(1, 3, 6) * .3):argmax(1)
trials.x, trials.y = x, y

function trials.rows(from, to, more) return g.data.tensors(x:slice(0, from, to), y:slice(0, from, to), more or { classes = 3 }) end

function trials.wrong(d)
  return { train = d, val = g.data.tensors(x:slice(0, 0, 40), y:slice(0, 0, 40):add(1):remainder(3), { classes = 3 }) }
end
-- Rows of probabilities, .8 for the class itself.
function trials.likely(classes)
  local n = classes:size(0)
  return g.full({ n, 3 }, .1):scatter(1, classes:unsqueeze(1), g.full({ n, 1 }, .8))
end

function trials.of_labels(labels, others)
  return { train = g.data.tensors(x:slice(0, 0, 120), labels:slice(0, 0, 120)),
    val = g.data.tensors(x:slice(0, 0, 40), others:slice(0, 0, 40)) }
end

-- A teacher that is right about the training data.
function trials.exact(scale)
  local made = nn.Linear(6, 3, { bias = false })
  g.no_grad(function() made.weight:copy_(g.cat({ g.eye(3), g.eye(3) * .3 }, 1) * scale) end)
  return made
end

-- scale: of the weights; when left out the last layer's are 0: a student who knows nothing, so what it learns is wrong of the others.
function trials.net(width, seed, out, scale)
  local made = nn.MLP { 6, width, out or 3 }
  local generator = g.generator(seed)
  g.no_grad(function()
    for _, p in ipairs(made:parameters()) do p:copy_(g.randn(p.shape, { generator = generator }) * (scale or .5)) end
    for _, p in ipairs(not scale and made.layers:get(2):parameters() or {}) do p:zero_() end
  end)
  return made
end

--- What distill is given beside the option that is tried.
function trials.base()
  return { student = trials.net(8, 1), teacher = trials.exact(2), data = trials.wrong(trials.rows(0, 120)), batch = 12,
    budget = { steps = 12 }, lr = .05, evaluate = { steps = 4 }, augment = .5, augmentations = { noise = .3 } }
end

function trials.outputs(model) return model(x:slice(0, 0, 1)):size(1) end
function trials.other_teacher(o) return trials.net(4, 3, trials.outputs(o.student), 1.5) end

function trials.poisoned()
  local bad = x:slice(0, 0, 120):clone()
  for _, row in ipairs { 5, 50, 90 } do bad[row] = 0 / 0 end
  return { train = g.data.tensors(bad, y:slice(0, 0, 120), { classes = 3 }), val = trials.wrong(trials.rows(0, 120)).val }
end

-- Inputs so large that the gradient is longer than 1.
function trials.steep() return trials.wrong(g.data.tensors(x:slice(0, 0, 120) * 8, y:slice(0, 0, 120), { classes = 3 })) end

local asked  -- how many rows a stream was asked for, each time
function trials.stream()
  local at = 0
  asked = ""
  return { train = g.data.generator(function(size)
    local from = at % 100
    asked = asked .. size .. " "
    at = at + size
    return x:slice(0, from, from + size), y:slice(0, from, from + size)
  end, { epoch = 120, classes = 3 }), val = trials.wrong(trials.rows(0, 120)).val }
end

-- --- what can be seen ---------------------------------------------------------------------------------------------------------

local folder = os.tmpname()
os.remove(folder)
host.mkdirs(folder)
local store = require("gradus.store").open(folder .. "/s.db")

local function stored_rows(seen, id)
  for _, row in ipairs(store:query("SELECT key, step, value FROM metrics WHERE run_id = ? ORDER BY key, step", id)) do
    local group = row.key:match "^[^/]+"
    seen[group] = (seen[group] or "") .. ("%s %d %.17g\n"):format(row.key, row.step, row.value or 0 / 0)
  end
end

local function stored_events(seen, id)
  for _, row in ipairs(store:query("SELECT step, kind, name, detail FROM events WHERE run_id = ? ORDER BY id", id)) do
    if row.kind ~= "threads" and row.kind ~= "data" then
      local detail = row.kind == "flops" and "" or row.detail:gsub('"key":"%x+"', ""):gsub('"bytes":%d+', "")
      seen[row.kind] = (seen[row.kind] or "") .. ("%d %s %s\n"):format(row.step, row.name, detail)
    end
  end
end

function trials.add_weights(seen, model)
  local names, text = {}, {}
  local hashes = support.weights(model)
  for name in pairs(hashes) do names[#names + 1] = name end
  table.sort(names)
  for i, name in ipairs(names) do text[i] = name .. " " .. hashes[name] end
  seen.weights = table.concat(text, "\n")
end

-- Everything that can be seen of fn(run, seen), as texts by name: weights, logged rows by the first word of their keys, events by
-- kind, and what fn adds. An error is seen.error; seen.train tells whether a step had been taken.
function trials.watch(fn)
  local seen = {}
  local run = require("gradus.experiment.run").begin { store = store, name = "spec", seed = 1, flat = {}, params = {},
    options = { quiet = true }, label = "spec" }
  local ok, err = xpcall(fn, host.traceback, run, seen)
  if not ok then seen.error = type(err) == "table" and err.message or tostring(err) end
  run:finish(ok and "finished" or "failed")
  stored_rows(seen, run.id)
  stored_events(seen, run.id)
  return seen
end

local function add_result(seen, r, student)
  trials.add_weights(seen, student)
  seen.asked = asked
  seen.result = ("%d steps, %.6g epochs, %.6g and %.6g flops"):format(r.steps, r.epochs, r.flops, r.flops_spent)
  for i = 1, r.checkpoints and r.checkpoints:count() or 0 do seen.checkpoints = (seen.checkpoints or "") .. r.checkpoints:step(i) .. " " end
end

--- A distillation as it can be seen.
function trials.distill(options)
  return trials.watch(function(run, seen) add_result(seen, run:distill(options), options.student) end)
end

-- --- the matrix ---------------------------------------------------------------------------------------------------------------

function trials.name_of(entry) return entry[1]:match "^[^:]+" end

-- The options of `base` with what the entries need, then the entries themselves (but that of `silent`).
local function options_with(base, entries, silent)
  local options, order = base(), {}
  for _, entry in ipairs(entries) do
    for name, make in pairs(entry.with or {}) do order[#order + 1] = { name, make } end
  end
  for _, entry in ipairs(entries) do
    if entry ~= silent then order[#order + 1] = { trials.name_of(entry), entry[2] } end
  end
  local optimizer
  for _, one in ipairs(order) do
    if one[2] == trials.NONE then options[one[1]] = nil
    elseif one[1] == "optimizer" then optimizer = one[2]
    else options[one[1]] = one[2](options) end
  end
  if optimizer then options.optimizer = optimizer(options) end  -- of the student that is trained
  return options
end

-- Whether the training was refused: before its first step, by an error that names one of the options.
local function refused(seen, ...)
  if not seen.error or seen.train then return false end
  for _, entry in ipairs { ... } do
    local kind = entry[1]:match ": (.+)"
    if seen.error:find(trials.name_of(entry), 1, true) or kind and seen.error:find(kind, 1, true) then return true end
    for name in pairs(entry.with or {}) do
      if seen.error:find(name, 1, true) then return true end
    end
  end
  return false
end

-- What is wrong with `one` beside `other` (or alone): nil where it is heard or refused.
local function fault(of, one, other)
  local both = of({ one, other })
  if refused(both, one, other) then return nil end
  if both.error then return "neither heard nor refused: " .. both.error end
  local without = of({ one, other }, one)
  if without.error or both[one.seen] ~= without[one.seen] then return nil end
  if (both.warning or ""):find(trials.name_of(one), 1, true) then return nil end
  return "dropped: its " .. one.seen .. " are the same without it"
end

-- Whether neither sets what the other is, or needs.
local function are_apart(one, other)
  local a, b = trials.name_of(one), trials.name_of(other)
  local mine, others = one.with or {}, other.with or {}
  for name in pairs(mine) do
    if others[name] then return false end
  end
  return a ~= b and not mine[b] and not others[a]
end

--- Examples that try each entry alone and beside every other.
---   entry    { "option" or "option: kind", function that makes its value or NONE, seen = where its effect is, with = options that it
---            needs, as functions, own = true: to be tried beside all, whatever `beside` says }
---   run      a table of options -> what can be seen
---   inert    entry -> other entry -> why the first has nothing to say beside the second
---   beside   how many entries, from the first, each is tried beside; all when left out
function trials.matrix(name, base, entries, run, inert, beside)
  local memo = {}
  local function of(pair, silent)
    table.sort(pair, function(a, b) return a[1] < b[1] end)
    local key = silent and "without " .. silent[1] or ""
    for _, entry in ipairs(pair) do key = key .. " + " .. entry[1] end
    memo[key] = memo[key] or run(options_with(base, pair, silent))
    return memo[key]
  end
  local known = {}
  for _, one in ipairs(entries) do known[one[1]] = true end
  for one, others in pairs(inert) do
    for other in pairs(others) do assert(known[one] and known[other], one .. " beside " .. other) end
  end
  describe(name, function()
    it("has nothing to say of the options that all others are tried beside", function()
      local seen = of({})
      expect({ seen.error or "no error", seen.warning or "no warning" }):equals { "no error", "no warning" }
    end)
    for _, one in ipairs(entries) do
      it("hears or refuses " .. one[1] .. ", alone and beside every other option", function()
        local wrong_ones = {}
        local alone = fault(of, one)
        if alone then wrong_ones[1] = "alone " .. alone end
        for i, other in ipairs(entries) do
          local wanted = i <= (beside or #entries) or one.own
          if wanted and are_apart(one, other) and not (inert[one[1]] or {})[other[1]] then
            local found = fault(of, one, other)
            if found then wrong_ones[#wrong_ones + 1] = ("beside %s %s"):format(other[1], found) end
          end
        end
        expect(table.concat(wrong_ones, "\n  ")):equals ""
      end)
    end
  end)
end

--- To be called at the end of the spec.
function trials.done() os.execute("rm -rf '" .. folder .. "'") end

return trials
