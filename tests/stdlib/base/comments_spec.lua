-- What is read from the comments of the library's sources.
local comments = require "gradus.base.comments"
local host = require "gradus.host"

local TEXT = [[
--- Of the file.
--- More.
local x = 1

---@class StandIn
---@field plain number
---@field told string  said
---@field maybe? boolean   perhaps
---@field also number?  perhaps
---@field pairs table<string, number>  by name
---@field call fun(x: number, y?: string): string  asked
---@field either number|string  one of them
---@field spaced number | string  one of them
---@field list {name: string, value: number}[]   all
---@field name.within any  a dot
---   that goes on
local StandIn = {}

--- Does it.
--- Well.
---@param a number  the first
---@param ... any
---@return string?  what
---@return number[]
function Checkpoints:keep(a, ...)
end

local function private() end
]]

-- The entries of TEXT in the place of a file of the library.
local function entries()
  local library_text = host.library_text
  host.library_text = function(name) return name == "base/checkpoints.lua" and TEXT or library_text(name) end
  local ok, list = pcall(comments.of, "base/checkpoints.lua")
  host.library_text = library_text
  if not ok then error(list, 0) end
  return list
end

local function tags(list)
  local seen = {}
  for i, one in ipairs(list) do seen[i] = ("%s%s: %s: %s"):format(one.name or "", one.optional and "?" or "", one.type, one.text) end
  return seen
end

describe("comments", function()
  local list = entries()
  it("are entries with a name, a line, arguments, and whether it is a method", function()
    local seen = {}
    for i, one in ipairs(list) do
      seen[i] = ("%s %d %s %s %s: %s"):format(one.name or "-", one.line, one.class or "-", one.arguments or "-", one.method or false,
        table.concat(one.text, " "))
      expect(one.file):equals "base/checkpoints.lua"
    end
    expect(seen):equals { "- 1 - - false: Of the file. More.", "StandIn 5 StandIn - false: ",
      "kept:keep 25 - (a, ...) true: Does it. Well." }
  end)
  it("have types of every form, and texts over several lines", function()
    expect(tags(list[2].fields)):equals { "plain: number: ", "told: string: said", "maybe?: boolean: perhaps", "also?: number: perhaps",
      "pairs: table<string, number>: by name", "call: fun(x: number, y?: string): string: asked", "either: number|string: one of them",
      "spaced: number | string: one of them", "list: {name: string, value: number}[]: all", "name.within: any: a dot that goes on" }
    expect(tags(list[3].params)):equals { "a: number: the first", "...: any: " }
    expect(tags(list[3].returns)):equals { ": string?: what", ": number[]: " }
    expect(comments.fields("base/checkpoints.lua").told.text):equals "said"
  end)
end)

describe("the names that comments tell of", function()
  it("are those that scripts use, of files that have more", function()
    local seen = {}
    for _, entry in ipairs(comments.all()) do seen[entry.name] = entry end
    for name in ([[g.no_grad g.autocast g.scope g.full x:data g.int g.number g.choice g.experiment run:fit g.fit
        g.seeds g.step_mode g.sparkline g.runs
      g.compare data.parity data.csv data.concat data.tensors data.generator data.npy data.text probe.landscape probe.two_sample nn.Linear
      nn.MLP nn.init.normal_ optim.AdamW opt:minimize net:to d:split parts:standardize s:best sampler:draw grammar:tree list:append
      transformer:hidden when.steps when.flops loss.kl schedule.linear score.margin target.layer curriculum.extraction cfg.cfg3b
      tokenizer.train]]):gmatch "%S+" do
      expect({ name, seen[name] ~= nil }):equals { name, true }
    end
    for name in ([[g.number_of curriculum.normalise data.view target.resolve sampler.of data.content run:finish s:record schedule.value
      g.new step.new Step:scan]]):gmatch "%S+" do
      expect({ name, seen[name] }):equals { name }
    end
    expect({ comments.is_own_business "data.view", comments.is_own_business "data.csv", comments.is_own_business "s:sign" }):equals
      { true, false, true }
    expect({ comments.prefix_of_class "Dataset", comments.prefix_of_class "Nobody" }):equals { "d:" }
  end)
  it("know whether they are methods, their arguments and their fields", function()
    local seen = {}
    for _, entry in ipairs(comments.all()) do seen[entry.name] = entry end
    expect({ seen["d:split"].method, seen["data.csv"].method, seen["d:split"].arguments, seen["data.csv"].arguments }):equals
      { true, false, "(shares, options)", "(path, options)" }
    expect({ seen["when.steps"].arguments, seen["when.steps"].text }):equals { "(limit)",
      { "after so many optimizer updates in the stage" } }
    expect({ seen["d:split"].params[1].name, seen["d:split"].params[1].type, seen["d:split"].params[2].optional }):equals
      { "shares", "table<string, number>", true }
    expect(comments.fields("curriculum/state.lua").step.type):equals "number"
    expect(comments.fields("curriculum/state.lua").teacher.optional):is_true()
    expect(comments.of "none.lua"):equals {}
  end)
end)
