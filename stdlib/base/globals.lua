--- The globals of a user's script. Reading one that was never set is an error that tells what was meant. A new one may be
--- set at the top level of a file, where it is seen (`x = nil` there announces one that a function will set); inside of a
--- function it is an error: a forgotten `local`, or a typo.
local elsewhere = require "gradus.base.elsewhere"
local frame = require "gradus.base.frame"
local host = require "gradus.host"

local globals = {}

-- What other languages call it.
local WORDS = { True = "true", TRUE = "true", False = "false", FALSE = "false", None = "nil", null = "nil", NULL = "nil",
  undefined = "nil", nullptr = "nil", elif = "elseif", def = "function", gradus = 'local g = require "gradus"',
  g = 'local g = require "gradus"', ceil = "math.ceil", pi = "math.pi", exit = "os.exit", quit = "os.exit", inf = "math.huge",
  infinity = "math.huge", insert = "table.insert", concat = "table.concat", format = "string.format", sprintf = "string.format",
  this = "self" }

-- How Lua, or Gradus, says it.
local WAYS = {
  self = "a method with a colon, function Net:forward(x), which has self",
  super = "nothing: a class's init need not call that of nn.Module (another base's: Base.init(self, …))",
  len = "#list, or x:size(0) of a tensor", range = "for i = 1, n do … end, both ends included",
  enumerate = "for i, value in ipairs(list) do … end", zip = "for i, a in ipairs(list) do local b = other[i] … end",
  str = "tostring(value)", int = "math.floor(x), or g.int(12) for a parameter", float = "tonumber(text), or x:float() of a tensor",
  bool = "value ~= nil, or x:bool() of a tensor", dict = "a table, { key = value }", list = "a table, { a, b, c }",
  tuple = "a table, { a, b, c }", set = "a table, { key = true }", map = "a loop", filter = "a loop", any = "a loop", all = "a loop",
  isinstance = "type(value), g.is_tensor(value) or g.nn.is_module(value)", hasattr = 'value.name ~= nil, or net:has "name" of a module',
  getattr = "value[name]", setattr = "value[name] = other", callable = 'type(value) == "function"',
  sum = "x:sum() of a tensor, or a loop", abs = "math.abs(x), or x:abs() of a tensor", exp = "math.exp(x), or x:exp() of a tensor",
  log = "math.log(x), or x:log() of a tensor; run:log { name = value } stores numbers", sqrt = "math.sqrt(x), or x:sqrt() of a tensor",
  max = "math.max(a, b), or x:amax() of a tensor", min = "math.min(a, b), or x:amin() of a tensor",
    floor = "math.floor(x), or x:floor() of a tensor",
  sin = "math.sin(x), or x:sin() of a tensor", cos = "math.cos(x), or x:cos() of a tensor", pow = "x ^ y", round = "math.floor(x + .5)",
  sorted = "table.sort(list)", reversed = "for i = #list, 1, -1 do … end", open = "io.open(path)", raise = "error(text)",
  input = "parameters: g.experiment { params = { lr = 1e-3 }, … } and --set lr=1e-2", printf = "print((\"%.3f\"):format(x))",
  arg = "parameters: g.experiment { params = { lr = 1e-3 }, … } and --set lr=1e-2",
  argparse = "parameters: g.experiment { params = { lr = 1e-3 }, … } and --set lr=1e-2",
  torch = 'g, with local g = require "gradus": g.zeros { 2, 3 }, g.nn.Linear(2, 3)', F = "g: g.softmax(x, -1), x:relu()",
  f = '("loss %.3f"):format(x)',
  np = "tensors: g.zeros { 2, 3 }", numpy = "tensors: g.zeros { 2, 3 }", random = "math.random()", time = "os.time() or os.clock()",
  new = "a call without new: nn.Linear(2, 3)", plt = "`gradus plot METRIC` after the run", wandb = "run:log { name = value }",
  mlflow = "run:log { name = value }", writer = "run:log { name = value }", trial = "params and grid of g.experiment",
  optuna = "params and grid of g.experiment", hydra = "params of g.experiment", device = "run.device; models and data move by themselves",
  cuda = "the command line's --device cuda",
}

-- The nearest of several names; of a name of one or two letters only itself in other letters.
local function near(name, names)
  for _, one in ipairs(names) do
    if one:lower() == name:lower() then return one end
  end
  return #name > 2 and host.nearest(name, names) or nil
end

local function has(object, name)
  local ok, value = pcall(function() return object[name] end)
  return ok and value ~= nil
end

local MODULES = { "nn", "optim", "loss", "data", "sampler", "score", "schedule", "when", "curriculum", "target", "probe", "cfg" }

-- Names that the file declares anywhere: what a function does not use it cannot see, but its writer could have meant it.
local function declared(level)
  local names, text = {}, frame.text_of(debug.getinfo(level + 1, "S")) or ""
  for list in text:gmatch "local%s+([%w_,%s]-)%s*[=\n]" do
    for name in list:gmatch "[%w_]+" do names[#names + 1] = name end
  end
  for name, parameters in text:gmatch "function%s*([%w_%.:]*)%s*%(([^)]*)%)" do
    if name:find "^[%w_]+$" then names[#names + 1] = name end
    for parameter in parameters:gmatch "[%w_]+" do names[#names + 1] = parameter end
  end
  return names
end

-- "g.nn.Linear" for Linear, in the words of the script: its own name for the library.
local function in_library(name, values)
  local g = package.loaded["gradus"]
  if type(g) ~= "table" then return nil end
  local called = "g"
  for known, value in pairs(values) do
    if rawequal(value, g) then called = known end
  end
  if has(g, name) then return called .. "." .. name end
  for _, module in ipairs(MODULES) do
    if has(g[module], name) then return ("%s.%s.%s"):format(called, module, name) end
  end
end

local function global_names()
  local names = {}
  for name in pairs(_G) do
    if type(name) == "string" and not name:find "^_" then names[#names + 1] = name end
  end
  table.sort(names)
  return names
end

local announced = {}  -- names that were set at the top level, to nil too

-- The end of the sentence about a name that does not exist, read at `level`.
local function meant(name, level)
  local names, values = frame.names(level + 1)
  if type(values.self) == "table" and has(values.self, name) then return ("did you mean 'self.%s'?"):format(name) end
  if WORDS[name] then
    return (WORDS[name]:find "^local" and "expected %s" or "did you mean '%s'?"):format(WORDS[name])
  end
  local here = near(name, names)
  if here then return ("did you mean '%s'?"):format(here) end
  if WAYS[name] then return "expected " .. WAYS[name] end
  local there = in_library(name, values)
  if there then return ("did you mean '%s'?"):format(there) end
  local mend = elsewhere.mend(name)
  if mend and name:find "^%u" then return "expected " .. mend end
  local others = declared(level + 1)
  for _, other in ipairs(others) do
    if other == name then return "expected it where the local of that name is seen: after its line, in the same block or function" end
  end
  local lua = near(name, others) or near(name, global_names())
  if lua then return ("did you mean '%s'?"):format(lua) end
  for _, module in ipairs(MODULES) do
    if name == module then return ('expected local %s = require("gradus").%s before it'):format(name, name) end
  end
  return ("expected local %s = … before it%s"):format(name, mend and ", or " .. mend or "")
end

local function read(_, name)
  if type(name) ~= "string" or announced[name] then return nil end
  host.fail(("'%s' is not defined; %s"):format(name, (meant(name, 2))))
end

local function write(t, name, value)
  if type(name) ~= "string" or announced[name] then return rawset(t, name, value) end
  if debug.getinfo(2, "S").what == "Lua" then
    local names, values = frame.names(2)
    local here = near(name, names)
    if type(values.self) == "table" and rawget(values.self, "_kinds") and has(values.self, name) then here = "self." .. name end
    host.fail(("'%s' would be a new global, set inside of a function; %sexpected local %s = …, or %s = nil at the top of the script")
      :format(name, here and ("did you mean '%s'? else "):format(here) or "", name, name))
  end
  announced[name] = true
  rawset(t, name, value)
end

--- Called once for each Lua state, before any script.
function globals.install()
  local meta = getmetatable(_G) or {}
  meta.__index, meta.__newindex = read, write
  setmetatable(_G, meta)
end

return globals
