-- Your own model, data and rules: a module written in Lua, a CSV file, a temperature that is a function of the run's state,
-- and stages that end when you say so. Where no CSV file is given it makes one: three spirals.
--   gradus run scripts/own_data.lua
--   gradus run scripts/own_data.lua --set csv=mine.csv --set label=class
local g = require "gradus"
local nn = g.nn
local Net = nn.class "Net"
function Net:init(features, width, classes)
  self.hidden = nn.Linear(features, width)
  self.out = nn.Linear(width, classes)
end
function Net:forward(x) return self.out(self.hidden(x):tanh()) end

local function write_spirals(path)
  local file = assert(io.open(path, "w"))
  file:write "x,y,arm\n"
  for i = 0, 899 do
    local t, angle = math.sqrt(i / 900), 2.1 * (i % 3) + 5 * math.sqrt(i / 900) + .1 * math.sin(i)
    file:write(("%.4f,%.4f,%s\n"):format(t * math.cos(angle), t * math.sin(angle), ({ "a", "b", "c" })[i % 3 + 1]))
  end
  file:close()
  return path
end

local function build_teacher(train)
  return g.fit { model = Net(train:features(), 64, train.classes), data = train, epochs = 200, lr = .02 }
end

return g.experiment { name = "own_data", params = { csv = "", label = "arm", width = g.int(8) },
  grid = { seed = { 1, 2, 3 } }, run = function(run, p)
  local path = p.csv ~= "" and p.csv or write_spirals(run.folder .. "/spirals.csv")
  local d = g.data.csv(path, { label = p.label }):split { train = .6, val = .2, test = .2 }
  local teacher = run:cached("teacher", build_teacher, d.train)
  local ranked, student = d.train:rank(g.score.entropy(teacher)), Net(d.train:features(), p.width, d.train.classes)
  local r = run:distill { teacher = teacher, student = student, data = d, lr = .02, budget = { epochs = 150 }, curriculum = {
    { "sure", sample = ranked:first(.5), temperature = function(s) return 6 - 4 * s.progress end,
      advance = function(s) return s:last "val/acc" > .8 or s.stage_epochs > 40, { acc = s:last "val/acc" } end },
    { "all", temperature = 2 } } }
  return { student = run:evaluate(r.student, d.test).acc, teacher = run:evaluate(teacher, d.test).acc }
end }
