--- `gradus help TOPIC` and g.help(anything): what the comments of the sources say (comments.lua), the words of the field
--- (concepts.lua) and the operators' schemas, under the nearest name.
local host = require "gradus.host"
local aliases = require "gradus.help.aliases"
local comments = require "gradus.base.comments"
local concepts = require "gradus.help.concepts"
local show = require "gradus.help.show"

local help = {}

local wrap, append = show.wrap, show.append

-- "run:distill", "g.run.distill" and "distill" are one question.
local function normal(name) return (name:lower():gsub(":", "."):gsub("^g%.", ""):gsub("[%(%){} ].*$", "")) end

local index  -- normal name -> list of entries; the last part of a name too
local function entries()
  if index then return index end
  index = { list = comments.all(), by = {}, short = {} }
  for _, entry in ipairs(index.list) do
    local name = normal(entry.name)
    index.by[name] = index.by[name] or {}
    table.insert(index.by[name], entry)
    local last = name:match "([^.]+)$"
    if last ~= name then
      index.short[last] = index.short[last] or {}
      table.insert(index.short[last], entry)
    end
  end
  return index
end

-- --- modules, concepts, operators ------------------------------------------------------------------------------------------

local function members(prefix)
  local list = {}
  for _, entry in ipairs(entries().list) do
    local last = entry.name:lower():sub(1, #prefix + 1)
    if (last == prefix .. "." or last == prefix .. ":") and not entry.name:sub(#prefix + 2):find "[.:]" then list[#list + 1] = entry end
  end
  return list
end

local function head_of(file) local head = comments.of(file)[1] return head and not head.name and head or nil end

-- The file that a module's members are of, not one that adds a function to them.
local function file_of(list)
  for _, entry in ipairs(list) do
    if not comments.adds_one(entry.file) then return entry.file end
  end
  return list[1].file
end

local function show_module(name)
  local list = members(name)
  if #list == 0 then return nil end
  local head = head_of(file_of(list))
  local out = { (show.title(list[1].name):match "^(.*)[.:]"), "" }
  if head then
    append(out, show.paragraphs(head.text, "  "))
    out[#out + 1] = ""
  end
  append(out, show.list(list))
  return table.concat(out, "\n") .. "\n"
end

local function show_concept(name)
  name = aliases[name] or name
  local text = concepts[name]
  if not text then return nil end
  local out = { name, "" }
  for paragraph in (text .. "\n"):gmatch "(.-)\n" do append(out, wrap(paragraph, "  ")) end
  return table.concat(out, "\n") .. "\n"
end

-- An operator's signatures; LibTorch is only loaded when nothing else has the name.
local function show_operator(name)
  local engine = require "gradus.engine"
  for _, known in ipairs(engine.op_names()) do
    if known == name then
      return ("%s\n\n  LibTorch's operator, also as x:%s(…) where its first argument is self.\n  * and what follows goes by name, in a "
        .. "last table: { dim = 0 }.\n\n  %s\n")
        :format("g." .. name, name, (engine.help(name):gsub("\n", "\n  ")))
    end
  end
end

-- What the literature asks is long, and read by nobody but who wants to know it.
local function show_demands(name) return name == "demands" and require("gradus.help.show_demands").text() or nil end

local function known_names(more)
  local names = { "demands" }
  for name in pairs(concepts) do names[#names + 1] = name end
  for name in pairs(aliases) do names[#names + 1] = name end
  for name in pairs(entries().by) do names[#names + 1] = name end
  for name in pairs(entries().short) do names[#names + 1] = name end
  for _, name in ipairs(more or {}) do names[#names + 1] = name end
  table.sort(names)
  return names
end

-- Entries by their full name, else by its last part.
local function found(name)
  local all = entries()
  return all.by[name] or all.short[name] or {}
end

--- What is known about a topic, or nil.
---@param topic string
---@return string?
function help.topic(topic)
  local name, texts = normal(topic), {}
  local word = show_concept(name) or show_demands(name)
  texts[1] = word
  for _, entry in ipairs(found(name)) do texts[#texts + 1] = show.entry(entry) end
  if #texts == 0 or not entries().by[name] then texts[#texts + 1] = show_module(name) end
  local exact = false
  for _, entry in ipairs(found(name)) do exact = exact or entry.name:match "([%w_]+)$" == name end
  if #texts == 0 or not exact and not word and not aliases[name] and topic == name then texts[#texts + 1] = show_operator(name) end
  return #texts > 0 and table.concat(texts, "\n") or nil
end

-- The nearest topic, operators included.
local function near(topic, more)
  local names = known_names(more)
  for _, name in ipairs(require("gradus.engine").op_names()) do names[#names + 1] = name end
  return host.nearest(normal(topic), names)
end

local function unknown(topic, more)
  local meant = near(topic, more)
  return ("help: nothing is called '%s'; %s"):format(topic, meant and ("did you mean '%s'?"):format(meant)
    or "expected a function such as distill, a word such as alpha, or a command; `gradus help --all` prints everything")
end

-- The name of a function or table of the library.
local function name_of(value)
  local g = require "gradus"
  for _, module in ipairs { "nn", "optim", "loss", "data", "cfg", "sampler", "score", "schedule", "when", "curriculum", "target",
    "probe" } do
    if rawequal(g[module], value) then return module end
    for name, inner in pairs(g[module]) do
      if rawequal(inner, value) then return module .. "." .. tostring(name) end
    end
  end
  for name, inner in pairs(g) do
    if rawequal(inner, value) then return "g." .. tostring(name) end
  end
end

local OBJECTS = { ["a run"] = "run", ["a data set"] = "d", ["the state"] = "s", ["a sampler"] = "sampler", ["what distill returns"] = "r" }

--- Help about a name, or about a value: a function of the library, a module, a run, a data set, a tensor.
---   print(g.help "sampler.weighted")
---   print(g.help(g.nn.Linear))
---@param topic any
---@return string
function help.of(topic)
  if topic == nil then return help.overview() end
  if type(topic) == "string" then return help.topic(topic) or host.fail(unknown(topic)) end
  local meta = type(topic) ~= "string" and getmetatable(topic)
  local name = name_of(topic)
  if not name and type(meta) == "table" then
    name = OBJECTS[rawget(meta, "__where")] or rawget(meta, "__class") and "nn." .. meta.__name or type(topic) == "userdata" and "tensor"
      or rawget(meta, "__name") and "optim." .. meta.__name
  end
  local text = name and help.topic(name)
  if not text and type(topic) == "table" and rawget(topic, "_kinds") then text = help.topic "net" end
  return text or host.fail(("help: nothing is known about this %s; expected a name or a function of the library"):format(type(topic)))
end

-- --- everything ----------------------------------------------------------------------------------------------------------

local GROUPS = { { "g", "Experiments" }, { "run", "A run" }, { "curriculum", "Curricula" }, { "sampler", "Samplers" },
  { "schedule", "Schedules" },
  { "when", "Advance rules" }, { "target", "Targets" }, { "score", "Scores" }, { "s", "The state" }, { "r", "What distill returns" },
  { "data", "Data" }, { "d", "A data set" }, { "parts", "The parts of a split" },
  { "nn", "Modules" }, { "net", "A module" }, { "list", "A list of modules" },
  { "transformer", "A transformer" }, { "nn.init", "Initial weights" }, { "optim", "Optimizers" }, { "opt", "An optimizer" },
  { "loss", "Losses" },
  { "step", "A step" }, { "kept", "Checkpoints" }, { "probe", "Probes" }, { "cfg", "Grammars" }, { "tokenizer", "Tokens" },
  { "x", "A tensor, beside LibTorch's operators" }, { "stored", "An earlier run" } }

--- What there is, in a screen.
function help.overview()
  local out = { "gradus help TOPIC: a command, a function, a class, a word.", "" }
  for _, group in ipairs(GROUPS) do
    local names = {}
    for i, entry in ipairs(members(group[1])) do names[i] = entry.name:match "([%w_]+)$" end
    if #names > 0 then append(out, wrap(("%s (%s): %s"):format(group[2], group[1], table.concat(names, ", ")), "  ")) end
  end
  local words = {}
  for name in pairs(concepts) do words[#words + 1] = name end
  table.sort(words)
  append(out, { "" })
  append(out, wrap("Words: " .. table.concat(words, ", "), "  "))
  append(out, wrap("What guides and paper ask, and what answers it: gradus help demands", "  "))
  append(out, wrap("Operators: g.help \"softmax\"; all of LibTorch's that scripts may call are in `gradus help --all`.", "  "))
  return table.concat(out, "\n") .. "\n"
end

--- The whole reference as one Markdown page.
---@param commands {name: string, text: string}[]
function help.page(commands)
  local out = { "# Gradus: reference\n", "Generated by `gradus help --all`.\n", "## Words\n" }
  local words = {}
  for name in pairs(concepts) do words[#words + 1] = name end
  table.sort(words)
  for _, name in ipairs(words) do out[#out + 1] = ("- **%s**: %s"):format(name, (concepts[name]:gsub("\n", " "))) end
  for _, group in ipairs(GROUPS) do
    local list = members(group[1])
    if #list > 0 then
      out[#out + 1] = ("\n## %s (`%s`)\n"):format(group[2], group[1])
      local head = head_of(list[1].file)
      if head and group[1]:find "^%a+$" then append(out, { table.concat(show.paragraphs(head.text, ""), "\n"), "" }) end
      for _, entry in ipairs(list) do show.markdown(out, entry) end
    end
  end
  require("gradus.help.show_demands").markdown(out)
  out[#out + 1] = "\n## Operators\n\n```"
  local engine = require "gradus.engine"
  for _, name in ipairs(engine.op_names()) do out[#out + 1] = engine.help(name) end
  out[#out + 1] = "```\n\n## Commands\n"
  for _, one in ipairs(commands) do out[#out + 1] = ("### `gradus %s`\n\n```\n%s```\n"):format(one.name, one.text) end
  return table.concat(out, "\n") .. "\n"
end

--- What `gradus help` prints. commands: all commands with CLI11's text about them.
---@param topic string
---@param all boolean
---@param commands {name: string, text: string}[]
function help.command(topic, all, commands)
  if all then return help.page(commands) end
  if topic == "" then return help.overview() end
  local names = {}
  for i, one in ipairs(commands) do
    names[i] = one.name
    if one.name == topic then
      local word, entry = show_concept(topic), found(normal(topic))[1]
      return one.text .. (word and "\n" .. word or "") .. (entry and ("\nIn scripts: gradus help %s\n"):format(entry.name) or "")
    end
  end
  return help.topic(topic) or host.fail(unknown(topic, names), 64)
end

return help
