-- The help: every public name has a comment and an example that runs; topics, words, nearest names.
local g = require "gradus"
local comments = require "gradus.base.comments"
local examples = require "gradus.help.examples"
local help = require "gradus.help.help"
local show = require "gradus.help.show"
local support = require "support"

local MODULES = { "nn", "optim", "loss", "data", "cfg", "tokenizer", "sampler", "score", "schedule", "when", "curriculum", "target",
  "probe" }

local function entry_of(name)
  for _, entry in ipairs(comments.all()) do
    if entry.name == name then return entry end
  end
end

-- What g's tables have beside, for the library.
local function is_own_business(name) return comments.is_own_business(name) end

local operators = {}
for _, name in ipairs(require("gradus.engine").op_names()) do operators[name] = true end

-- Functions and classes that a script can reach by name.
local function public_names()
  local names = {}
  for _, module in ipairs(MODULES) do
    for name, value in pairs(g[module]) do
      if type(name) == "string" and not name:find "^_" and (type(value) == "function" or g.nn.is_class(value)) then
        if not is_own_business(module .. "." .. name) then names[#names + 1] = module .. "." .. name end
      end
    end
  end
  for name in pairs(g.nn.init) do names[#names + 1] = "nn.init." .. name end
  for _, name in ipairs { "experiment", "int", "number", "choice", "fit", "step_mode", "runs", "compare", "sparkline", "no_grad", "scope",
    "autocast", "full", "flops", "help" } do
    names[#names + 1] = "g." .. name
  end
  for name, value in pairs(g) do
    if type(value) == "function" and not operators[name] and not entry_of("g." .. name) and not entry_of("loss."
      .. name) then names[#names + 1] = "g." .. name end
  end
  table.sort(names)
  return names
end

describe("the comments", function()
  it("are there for every public name", function()
    local without = {}
    for _, name in ipairs(public_names()) do
      local entry = entry_of(name)
      if not entry or #table.concat(entry.text) < 8 then without[#without + 1] = name end
    end
    expect(table.concat(without, " ")):equals ""
    expect(#public_names() > 100):is_true()
  end)

  it("are there for every method of objects", function()
    local d = g.data.digits()
    local without = {}
    for owner, class in pairs { net = g.nn.Module, d = getmetatable(d), list = g.nn.ModuleList } do
      for name, value in pairs(class) do
        if type(value) == "function" and not name:find "^_" and not entry_of(owner .. ":" .. name) and not entry_of("net:" .. name) then
          without[#without + 1] = owner .. ":" .. name
        end
      end
    end
    expect(table.concat(without, " ")):equals ""
  end)

  it("say what every option of distill is", function()
    local class = entry_of "DistillOptions"
    expect(#class.fields > 20):is_true()
    for _, field in ipairs(class.fields) do
      if field.name ~= "student" and field.name ~= "label_smoothing" and #field.text < 2 then error("no text: " .. field.name) end
    end
  end)

  it("are read with types, optional names, lines that go on", function()
    local plateau = entry_of "when.plateau"
    expect(plateau.arguments):equals "(key, patience, min_delta)"
    expect(plateau.params[3].name):equals "min_delta"
    expect(plateau.params[3].optional):is_true()
    expect(plateau.params[3].type):equals "number"
    expect(plateau.params[3].text):equals "default 0"
    expect(entry_of("d:rank").params[1].type):equals "fun(x: Tensor, y: Tensor, labels: Labels): Tensor | Tensor"
    expect(comments.fields("curriculum/state.lua").teacher.optional):is_true()
  end)
end)

describe("an example", function()
  it("is there for every public function, and runs", function()
    local without, folder, count = {}, os.tmpname(), 0
    os.remove(folder)
    require("gradus.host").mkdirs(folder)
    local function write(name, text)
      local file = assert(io.open(folder .. "/" .. name, "wb"))
      file:write(text)
      file:close()
    end
    write("points.csv", "a,b,class\n" .. ("1,2,x\n3,4,y\n"):rep(10))
    local words, seed = {}, 1
    for i = 1, 6000 do
      local word = {}
      for k = 1, 3 + i % 4 do
        seed = seed * 16807 % 2147483647
        word[k] = string.char(97 + seed % 26)
      end
      words[i] = table.concat(word) .. (i % 12 == 0 and "\n" or " ")
    end
    write("corpus.txt", table.concat(words))
    local options = require("gradus.host").options
    local store = options.store
    options.store = folder .. "/s.db"  -- what g.runs and g.compare read
    support.with_run({ params = {}, folder = folder }, function(run)
      local s
      local d = g.data.digits():first(300):split { train = .6, val = .2, test = .2 }
      local teacher, kept = run:fit { model = g.nn.MLP { 64, 16, 10 }, data = d.train, steps = 6, checkpoints = { steps = 2 } }
      local r = run:distill { student = g.nn.MLP { 64, 10 }, data = d, budget = { steps = 3 }, evaluate = { steps = 1 },
        curriculum = { advance = function(state) s = state return false end } }
      run.writer:flush()
      local function environment()
        local student = g.nn.MLP { 64, 8, 10 }
        local env = { g = g, run = run, d = d, ranked = d.train:rank(g.score.loss(teacher)), teacher = teacher, student = student,
          net = g.nn.MLP { 64, 10 }, model = teacher, opt = g.optim.AdamW(student), x = g.randn(3, 4), y = g.tensor({ 1, 2, 3 }, "int64"),
          logits = g.randn(3, 10), teacher_logits = g.randn(3, 10), kept = kept, r = r, s = s, path = folder,
          list = g.nn.ModuleList { g.nn.Linear(4, 4) }, grammar = g.cfg.parse "7: 1 2 | 2 1", sentences = { { 1, 2 }, { 2, 1 } },
          print = function() end, t = teacher }
        for _, module in ipairs(MODULES) do env[module] = g[module] end
        return setmetatable(env, { __index = _G })
      end
      local only = os.getenv "GRADUS_EXAMPLE"
      for _, entry in ipairs(comments.all()) do
        local lines = show.examples(entry)
        local is_function = entry.name:find "%." and not entry.class  -- of methods their class's example may be enough
        if is_function and #lines == 0 then without[#without + 1] = entry.name end
        if #lines > 0 and (not only or only == entry.name) then
          local text = table.concat(lines, "\n"):gsub('"([%w_-]+%.[ctnbl][%w.]+)"', '"' .. folder .. '/%1"')
          local chunk = loadstring(text, "=" .. entry.name) or loadstring("return " .. text, "=" .. entry.name)
          if not chunk then error(entry.name .. ": no Lua: " .. text) end
          local ok, err = pcall(setfenv(chunk, environment()))
          local missing = type(err) == "string" and (err:find "no such file" or err:find "No such file") and (text:find "%.npy"
            or text:find "idx" or text:find "%.bin"
            or text:find "safetensors" or text:find "%.model")
          if not ok and not missing then error(("%s: %s\n%s"):format(entry.name, tostring(err), text)) end
          count = count + 1
        end
      end
    end)
    options.store = store
    os.execute("rm -rf " .. folder)
    expect(count > 150):is_true()
    expect(table.concat(without, " ")):equals ""
  end)

  it("of examples.lua belongs to a name", function()
    local lost = {}
    for name in pairs(examples) do
      if not entry_of(name) then lost[#lost + 1] = name end
    end
    table.sort(lost)
    expect(table.concat(lost, " ")):equals ""
  end)
end)

describe("help", function()
  it("tells signature, options, formula, example, neighbours", function()
    local text = g.help "sampler.weighted"
    for _, part in ipairs { "sampler.weighted(d, weights)", "[n], at least 0", "Example", "score.entropy(teacher)", "See also: ",
      "sampler.uniform" } do
      if not text:find(part, 1, true) then error("no " .. part .. " in\n" .. text) end
    end
    expect(g.help "distill"):matches "alpha%? +any: %.7, weight of the labels: α CE %+ %(1 − α%) T² KL"
    expect(g.help "kd_loss"):matches "alpha · CE"
    expect(g.help "run:distill"):equals(g.help "run.distill")
  end)

  it("says names as a script has them, in titles, lists and examples", function()
    expect(g.help "cross_entropy"):matches "^g%.loss%.cross_entropy%(logits, target, options%)"
    expect(g.help "loss"):matches "  g%.loss%.kd_loss  "
    expect(g.help "nn.Linear"):matches "See also: g%.nn%."
    expect(g.help "schedule.competence"):matches "local share = g%.schedule%.competence"
    expect(g.help "d:rank"):matches "^d:rank%(score%)"
    local page = help.page {}
    for _, module in ipairs(MODULES) do
      local bare = page:match("\n### `" .. module .. "%.[^\n]*")
      if bare then error(bare) end
    end
  end)

  it("names no file that only the sources have", function()
    local page = help.page({}):gsub("\n## What is asked\n.-\n## ", "\n## ")  -- which is about the sources
    for line in page:gmatch "[^\n]+" do
      local file = line:gsub("other%.lua", ""):match "[%w_/]+%.lua%f[%W]" or line:match "[%w_/]+%.cpp" or line:match "[%w_/]+%.h%f[%W]"
      if file then error(file .. " in: " .. line) end
    end
  end)

  it("begins a module with what its own file says of it, whoever else adds to it", function()
    for module, words in pairs { when = "Advance rules", probe = "a network", data = "Data sets: tensors" } do
      local text = help.topic("g." .. module)
      assert(text:match("g%." .. module .. "\n\n  ([^\n]*)"):find(words, 1, true), text:sub(1, 200))
    end
  end)
  it("shows lists whose lines are whole", function()
    for _, topic in ipairs { "curriculum", "schedule", "sampler", "when", "data", "nn", "loss", "score", "optim", "Dataset" } do
      for name, about in g.help(topic):gmatch "\n  ([%w_]+[%.:][%w_%.:]+)  +(%S[^\n]*)" do
        if #about < 8 or about:find "%seq$" then error(("%s: %s: %s"):format(topic, name, about)) end
      end
    end
    expect(g.help "curriculum"):matches "curriculum%.one_shot +S7: one%-shot distillation, the baseline"
    expect(g.help "schedule"):matches "ICLR 2017, eq%. 5, without restarts%)"
    expect(g.help "schedule"):matches "schedule%.competence +Competence: the share of the data"
    expect(g.help "curriculum"):matches '\n    { sample = f, target = f, pressure = f, advance = f }'
  end)

  it("lists options that are written out, with what is said of each", function()
    expect(g.help "data.csv"):matches '\n  skip%? +string%[%]: columns that are left out\n'
    expect(g.help "nn.ConvNet"):matches "\n  input +number%[%]: { C, H, W }\n"
    expect(g.help "nn.Transformer"):matches "\n  pad_token%? +number: none\n"
    expect(g.help "nn.MLP"):matches '\n  norm%? +string: "none", or "layer", "batch"\n'
    expect(g.help "run:batches"):matches "\n  teacher +any"
    for _, entry in ipairs(comments.all()) do
      for _, list in ipairs { entry.params, entry.fields } do
        for _, field in ipairs(list) do
          local open, closed = select(2, field.type:gsub("{", "")), select(2, field.type:gsub("}", ""))
          if open ~= closed then error(("%s: %s: %s"):format(entry.name, field.name, field.type)) end
        end
      end
    end
  end)

  it("lists the methods of a class's objects", function()
    expect(g.help "Dataset"):matches "\nMethods\n  d:size +Number of rows"
    expect(g.help(g.data.digits())):matches "d:split"
    expect(g.help "Run"):matches "run:distill +Trains a student under a curriculum"
  end)

  it("knows words", function()
    expect(g.help "alpha"):matches "Weight of the labels in the loss: α CE %+ %(1 − α%) T² KL"
    for _, word in ipairs { "temperature", "budget", "stage", "epoch", "step", "plateau", "knob", "suite", "run", "where" } do
      expect(g.help(word)):matches(word)
    end
  end)

  it("knows operators", function()
    expect(g.help "softmax"):matches "softmax%(Tensor self, int dim, ScalarType%? dtype=None%) %-> Tensor"
    expect(function() g.help "sofmax" end):fails_with "did you mean 'softmax'?"
  end)

  it("is asked about values", function()
    local net = g.nn.MLP { 2, 2 }
    expect(g.help(g.nn.Linear)):matches "y = x Wᵀ"
    expect(g.help(g.sampler.weighted)):equals(g.help "sampler.weighted")
    expect(g.help(net)):matches "nn.MLP"
    expect(g.help(g.schedule)):matches "schedule.linear"
    expect(g.help(g.data.digits())):matches "d:rank"
    expect(g.help(g.ones(2))):matches "Indices and dimensions count from 0"
    expect(g.help(g.optim.SGD(net))):matches "optim.SGD"
    expect(g.help()):matches "gradus help TOPIC"
    expect(function() g.help {} end):fails_with "nothing is known about this table"
    expect(function() g.help(3) end):fails_with "number"
  end)

  it("names the nearest", function()
    expect(function() g.help "plateu" end):fails_with "did you mean 'plateau'?"
    expect(function() g.help "sampler.wieghted" end):fails_with "did you mean 'sampler.weighted'?"
    expect(function() g.help "xyzzyqwert" end):fails_with "nothing is called 'xyzzyqwert'"
  end)

  it("is one page too", function()
    local page = help.page { { name = "run", text = "Run an experiment" } }
    for _, part in ipairs { "### `g.when.plateau(key, patience, min_delta)`", "- **alpha**: ", "| `alpha?` |", "softmax(Tensor self",
      "### `gradus run`" } do
      if not page:find(part, 1, true) then error("no " .. part) end
    end
  end)
end)
