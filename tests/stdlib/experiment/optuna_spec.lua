-- What a sweep says to Optuna's process, and makes of its answers: a shell script answers in its place.
local host = require "gradus.host"
local files = require "gradus.base.files"
local instead = require "instead"
local optuna = require "gradus.experiment.optuna"

local folder = ("%s/gradus-optuna-%s"):format(os.getenv "TMPDIR" or "/tmp", host.random_hex(8))
host.mkdirs(folder)
after_all(function() os.execute("rm -rf '" .. folder .. "'") end)

local BEFORE = [[{"before":[{"number":3,"params":{"T":2},"told":true},{"number":5,"params":{"T":4},"told":false}]}]]

-- Answers each "ask" with the next trial; keeps what it was told, and its two files' names.
local ANSWERS = [[
cp "$2" "%s/given.json"
echo "$1" > "%s/where"
echo '%s'
n=7
while read -r line; do
  echo "$line" >> "%s/said"
  case "$line" in
    *ask*) echo "{\"number\":$n,\"params\":{\"T\":$n}}"; n=$((n + 1));;
    *quit*) exit;;
  esac
done
]]

-- Calls fn(study) with a sweep's study; returns what the process was told, line by line, and what it was given.
local function study(fn, more, first)
  local sweep = { axes = { { key = "T", values = { 2, 4 } }, { key = "lr", low = 1e-4, high = .1, scale = "log" },
    { key = "n", low = 1, high = 9, scale = "lin", whole = true } }, by = "val/acc", greater = true, fixed = { steps = 9 },
    experiment = { name = "digits" }, options = { store = folder .. "/s.db" } }
  for key, value in pairs(more or {}) do sweep[key] = value end
  os.remove(folder .. "/said")
  assert(files.write(folder .. "/answers.sh", ANSWERS:format(folder, folder, first or BEFORE, folder)))
  local popen = io.popen
  instead({ { io, "popen", function(command, mode)
    return popen((command:gsub("exec python3 %-u", "exec sh '" .. folder .. "/answers.sh'")), mode)
  end } }, function()
    local one = optuna.start(sweep, 11)
    fn(one)
    one:close()
    one:close()  -- which was closed already
  end)
  local said = {}
  for line in (files.read(folder .. "/said") or ""):gmatch "[^\n]+" do said[#said + 1] = host.json_decode(line) end
  return said, host.json_decode(files.read(folder .. "/given.json"))
end

describe("Optuna's process", function()
  it("is given the axes, the study's name, the direction and the seed", function()
    local said, given = study(function() end)
    expect(said):equals { { quit = true } }
    expect({ given.seed, given.direction, given.storage }):equals { 11, "maximize", "sqlite:///" .. folder .. "/optuna.db" }
    expect(given.axes[1]):equals { key = "T", values = { 2, 4 }, log = false, whole = false }
    expect(given.axes[2]):equals { key = "lr", low = 1e-4, high = .1, log = true, whole = false }
    expect(given.axes[3]):equals { key = "n", low = 1, high = 9, log = false, whole = true }
    expect(given.name):matches "^digits val/acc %x%x%x%x%x%x%x%x$"
  end)
  it("has one study for each space, name, metric, direction, code and what is fixed", function()
    local function name(more) return select(2, study(function() end, more)).name end
    local one = name()
    expect(name()):equals(one)
    expect(name { axes = { { key = "T", values = { 2, 4 } } } }):differs_from(one)
    expect(name { by = "val/loss" }):matches "^digits val/loss "
    expect(name { options = { store = folder .. "/s.db", name = "own" } }):matches "^own val/acc "
    expect(select(2, study(function() end, { greater = false })).direction):equals "minimize"
    expect(name { greater = false }):differs_from(one)
    expect(name { fixed = { steps = 10 } }):differs_from(one)
    local sources = host.sources
    instead({ { host, "sources", function()
      local list = sources()
      list[1].sha256 = "0" .. list[1].sha256:sub(2, -2) .. "x"
      return list
    end } }, function() expect(name()):differs_from(one) end)
  end)
  it("leaves nothing behind", function()
    study(function() end)
    local file = files.read(folder .. "/where"):match "^(.*)\n$"
    expect(file):matches "/ask.py$"
    expect(host.exists((file:gsub("/ask.py$", "")))):equals(false)
  end)
  it("that says what is wrong, or ends, ends the sweep with that", function()
    expect(function() study(function() end, nil, '{"error":"no optuna"}') end):fails_with "sweep: optuna: no optuna"
    expect(function() study(function(one) one:say { quit = true } one:ask() end) end)
      :fails_with "sweep: optuna: the Python process ended; what it said is above"
  end)
end)

describe("a study", function()
  it("tells what it has, and what to try next", function()
    local before, asked
    local said = study(function(one)
      before = one:before()
      asked = { one:ask(), one:ask() }
    end)
    expect(before):equals { { T = 2 }, { T = 4 } }
    expect(asked):equals { { T = 7 }, { T = 8 } }
    expect(said):equals { { ask = true }, { ask = true }, { quit = true } }
  end)
  it("is told once what a trial came to, by its number, and again where its run went on", function()
    local said = study(function(one)
      local first, second = one:ask(), one:ask()
      one:tell { given = first, value = .5 }
      one:tell { given = first, value = .6 }
      one:tell({ given = first, value = .7 }, false)
      one:tell({ given = first }, true)
      one:tell({ given = first, value = .75 }, true)
      one:tell({ given = second }, true)
    end)
    expect(said):equals { { ask = true }, { ask = true }, { number = 7, value = .5, again = false },
      { number = 7, value = .75, again = true }, { number = 8, again = false }, { quit = true } }
  end)
  it("is told of a trial of its own only what it does not know", function()
    local said = study(function(one)
      local known, under_way = unpack(one:before())
      one:tell { given = known, value = .5 }
      one:tell { given = under_way, value = .25 }
      one:tell({ given = known, value = .75 }, true)
    end)
    expect(said):equals { { number = 5, value = .25, again = false }, { number = 3, value = .75, again = true }, { quit = true } }
  end)
end)
