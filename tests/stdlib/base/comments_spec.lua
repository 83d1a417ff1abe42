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
