--- The comments of the standard library's sources, read as what they are for LuaLS: "---" lines before a function, a class of
--- modules or a table field, with ---@param, ---@field, ---@return. What help.lua shows is all from here.
local host = require "gradus.host"

---@class Entry
---@field name string         "sampler.weighted", "run:distill", "nn.Linear", "DistillOptions"
---@field file string         "curriculum/sampler.lua"
---@field line number
---@field arguments string?   "(d, weights)" as in the source
---@field text string[]       lines of prose; an indented one is an example
---@field params table[]      { name =, type =, text =, optional = } each
---@field returns table[]     { type =, text = } each
---@field fields table[]      as params, of a class

local comments = {}

-- The name in scripts of what a file calls so: by folder and local name. What is missing is the library's own business.
local PREFIX = { g = "g.", data = "data.", cfg = "cfg.", tokenizer = "tokenizer.", sampler = "sampler.", score = "score.",
  schedule = "schedule.", when = "when.", curriculum = "curriculum.", target = "target.", probe = "probe.", loss = "loss.", nn = "nn.",
  init = "nn.init.", optim = "optim.", methods = "x:", Run = "run:", Dataset = "d:", of_parts = "parts:", State = "s:",
  Source = "sampler:", Result = "r:",
  Grammar = "grammar:", Tree = "tree:", Optimizer = "opt:", Module = "net:", Checkpoints = "kept:", StoredRun = "stored:", Step = "step:",
    ModuleList = "list:", ModuleDict = "dict:", Transformer = "transformer:" }
local OWN = { -- files whose local names are others
  ["base/tensor.lua"] = { tensor = "g." }, ["experiment/params.lua"] = { params = "g." },
  ["experiment/experiment.lua"] = { experiment = "g." },
  ["experiment/run.lua"] = { run = "g." },
  ["experiment/seeds.lua"] = { seeds = "g." }, ["step/step.lua"] = { step = "g." }, ["data/tokens.lua"] = { tokens = "data." },
  ["init.lua"] = { g = "g." }, ["data/readers.lua"] = { readers = "data." }, ["data/generator.lua"] = { generator = "data." },
}
local RETURNED = { ["base/sparkline.lua"] = "g.sparkline", ["experiment/runs.lua"] = "g.runs", ["experiment/compare.lua"] = "g.compare",
  ["data/parity.lua"] = "data.parity", ["training/landscape.lua"] = "probe.landscape", ["data/csv.lua"] = "data.csv",
  ["data/concat.lua"] = "data.concat", ["training/two_sample.lua"] = "probe.two_sample",
  ["curriculum/benchmarked.lua"] = "when.benchmarked" }
local RENAMED = { ["data.new"] = "data.generator" }
-- Of files that have more functions than what scripts see.
local ONLY = {
  ["base/tensor.lua"] = { no_grad = true, autocast = true, scope = true, full = true, data = true },
  ["experiment/params.lua"] = { int = true, number = true, choice = true }, ["experiment/experiment.lua"] = { experiment = true },
  ["experiment/run.lua"] = { fit = true }, ["experiment/seeds.lua"] = { seeds = true }, ["step/step.lua"] = { step_mode = true },
}

-- Beside what scripts use: the library's own business, though a script could call it.
local OWN_BUSINESS = {}
for name in ([[
  curriculum.normalise data.view target.resolve sampler.of sampler.numbered sampler.of_run sampler.with_number sampler.hand_over
  sampler.take_back sampler:of_run sampler:with_number sampler:hand_over sampler:take_back sampler:undo sampler:refresh
  sampler:restrict sampler:state
  sampler:restore sampler:size sampler:passes data.content data.from_outside data.of_base data.parts data.make run:configure run:progress
  run:show run:breathe run:store_result run:finish sampler:new sampler:drawer sampler:view sampler:stats sampler:numbered
  run:training_line run:leave_student run:begin_training run:lock run:edited run:unmute run:note_sources run:other_data run:silently
  s:new s:begin_stage s:count s:record s:ahead s:sign
  schedule.value schedule.check
  schedule.is]]):gmatch "%S+" do
  OWN_BUSINESS[name] = true
end

-- What a line of code defines: the owner's local name (nil: the file itself), the name, the separator and the arguments.
local function definition(line, file)
  local owner, separator, name, arguments = line:match "^%s*function ([%w_]+)([%.:])([%w_]+)%s*(%b())"
  if owner then return owner, name, separator, arguments end
  if line:find "^return function" then return nil, RETURNED[file], ".", line:match "^return function(%b())" end
  owner, name = line:match "^%s*([%w_]+)%.([%w_]+)%s*=[^=]"
  if owner then return owner, name, ".", line:match "function(%b())" end
  if file:find "^nn/" then
    name = line:match "^%s*local [%w_]+ = nn%.class%(\"([%w_]+)\"" or line:match "^%s*[%w_ =]-[%w_]+%(\"([A-Z][%w_]*)\""
    if name then return "nn", name, ".", nil end
  end
end

local function is_public(file, owner, name)
  if not name or name:find "^_" then return false end
  return not (ONLY[file] and owner and owner:find "^%l" and not ONLY[file][name])
end

-- What the methods of a class begin with: "d:" of Dataset.
function comments.prefix_of_class(name) return PREFIX[name] end

local function prefix_of(file, owner)
  if owner == nil then return "" end
  return (OWN[file] or {})[owner] or PREFIX[owner]
end

-- "name? type  text" with a type that may hold blanks inside of brackets or after a comma, a colon or a bar.
local function split_type(text)
  local depth, i = 0, 1
  while i <= #text do
    local c = text:sub(i, i)
    if c:find "[%(%[{<]" then depth = depth + 1 elseif c:find "[%)%]}>]" then depth = depth - 1 end
    if c == " " and depth <= 0 and not text:sub(1, i - 1):find "[:,|]$" and not text:find("^ *|", i) then break end
    i = i + 1
  end
  return text:sub(1, i - 1), (text:sub(i):gsub("^%s+", ""))
end

local function named(text)
  local name, optional, rest = text:match "^([%w_%.]+)(%??)%s+(.*)$"
  if not name then return { name = text, type = "", text = "" } end
  local kind, about = split_type(rest)
  return { name = name, optional = optional == "?" or kind:find "%?$" ~= nil, type = (kind:gsub("%?$", "")), text = about }
end

local TAGS = { param = "params", field = "fields", ["return"] = "returns" }

-- Whether a bracket of the type is not closed yet.
local function is_open(kind) return select(2, kind:gsub("[{%(<]", "")) > select(2, kind:gsub("[}%)>]", "")) end

local function read_tag(tag, text)
  local one
  if tag == "return" then
    local kind, about = split_type(text)
    one = { type = kind, text = about }
  else
    one = named(text)
  end
  one.tag, one.raw = tag, text
  return one
end

-- An entry from the lines of a comment. Lines after a ---@param or ---@field go on with it.
local function read_block(lines)
  local entry = { text = {}, params = {}, fields = {}, returns = {} }
  local last
  for _, line in ipairs(lines) do
    local tag, rest = line:match "^@(%w+)%s*(.*)$"
    if tag == "class" then
      entry.class, last = rest:match "^([%w_]+)", nil
    elseif TAGS[tag] then
      last = read_tag(tag, rest)
      table.insert(entry[TAGS[tag]], last)
    elseif not tag and last and line:find "^%s" then
      line = line:gsub("^%s+", "")
      if is_open(last.type) then  -- a type of several lines
        local whole = read_tag(last.tag, last.raw .. " " .. line)
        for key, value in pairs(whole) do last[key] = value end
      else
        last.text = last.text == "" and line or last.text .. " " .. line
      end
    elseif not tag then
      last = nil
      table.insert(entry.text, line)
    end
  end
  return entry
end

local function add(list, entry, name, file, line, arguments)
  entry.name, entry.file, entry.line, entry.arguments = name, file, line, arguments
  list[#list + 1] = entry
end

-- A class's comment may stand before the comment of a function that takes one: both are entries.
local function split_class(entry)
  if not entry.class then return nil end
  local class = { text = {}, params = {}, returns = {}, fields = entry.fields, class = entry.class }
  local is_alone = #entry.params == 0
  if is_alone then class.text, entry.text = entry.text, {} end
  entry.fields = {}
  return class, is_alone
end

local files = {}

--- The entries of one source, in its order; the first has no name where the file begins with a comment about itself.
---@param file string  "curriculum/sampler.lua"
---@return Entry[]
function comments.of(file)
  if files[file] then return files[file] end
  local list, block, number, begin = {}, {}, 0, 0
  files[file] = list
  for line in ((host.library_text(file) or "") .. "\n"):gmatch "(.-)\n" do
    number = number + 1
    local text = line:match "^%s*%-%-%-%s?(.*)$"
    if text then
      if #block == 0 then begin = number end
      block[#block + 1] = text
    elseif #block > 0 then
      local entry = read_block(block)
      local class, alone = split_class(entry)
      if class then add(list, class, class.class, file, begin) end
      local owner, name, separator, arguments = definition(line, file)
      local prefix = prefix_of(file, owner)
      local public = prefix and is_public(file, owner, name) and not OWN_BUSINESS[prefix .. name]
      if public and not (class and alone and name == class.class) then
        add(list, entry, RENAMED[prefix .. name] or prefix .. name, file, number, arguments)
        entry.method = separator == ":"
      elseif begin == 1 and not class then
        add(list, entry, nil, file, 1)
      end
      block = {}
    else
      local maker, made, about = line:match "^%s*([%w_]+)%(\"([%w_]+)\".-%)%s*%-%-%-%s+(.+)$"
      local module = maker and file:match "([%w_]+)%.lua$"
      if module and PREFIX[module] then add(list, read_block { about }, PREFIX[module] .. made, file, number, "(limit)") end
    end
  end
  return list
end

--- Whether a name that scripts could reach is the library's own.
---@param name string
function comments.is_own_business(name) return OWN_BUSINESS[name] == true end

--- Whether a file is one function of a module whose others are elsewhere.
---@param file string
function comments.adds_one(file) return RETURNED[file] ~= nil end

--- All entries with a name.
---@return Entry[]
function comments.all()
  local all = {}
  for _, file in ipairs(host.stdlib_files()) do
    for _, entry in ipairs(comments.of(file)) do
      if entry.name then all[#all + 1] = entry end
    end
  end
  return all
end

--- The documented fields of a file's classes: name -> its entry.
---@param file string
---@return table<string, table>
function comments.fields(file)
  local fields = {}
  for _, entry in ipairs(comments.of(file)) do
    for _, field in ipairs(entry.fields) do fields[field.name] = field end
  end
  return fields
end

return comments
