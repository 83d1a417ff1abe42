-- The table of what guides and paper ask: every row has one answer, and what it names is there.
local demands = require "gradus.help.demands"
local help = require "gradus.help.help"
local host = require "gradus.host"
local show_demands = require "gradus.help.show_demands"

local function read(path)
  local file = io.open(path, "rb")
  if not file then error("no such file: " .. path, 0) end
  local text = file:read "*a"
  file:close()
  return text
end

-- Whether the file of tests has the case: the name of an `it`, or a text in a table of cases; a method; a TEST.
local function has_case(path, case)
  local text = read(path)
  if path:find "%.lua$" then return text:find(("%q"):format(case), 1, true) ~= nil end
  if path:find "%.py$" then return text:find("\n    def " .. case .. "(self", 1, true) ~= nil end
  return text:find(", " .. case .. ") {", 1, true) ~= nil
end

-- What scripts/claims.lua asks, by its own table over a store without runs.
local function claims()
  local asked, options, folder = {}, host.options, os.tmpname()
  os.remove(folder)
  host.mkdirs(folder)
  local store = options.store
  options.store = folder .. "/s.db"
  require("gradus.store").open(options.store)
  local chunk = assert(loadfile "scripts/claims.lua")
  setfenv(chunk, setmetatable({ print = function(line) asked[line:match "^| .- | (.-) |"] = true end }, { __index = _G }))
  local ok, err = pcall(chunk)
  options.store = store
  os.execute("rm -rf " .. folder)
  if not ok then error(err, 0) end
  return asked
end

local function each(fn)
  for _, document in ipairs(demands) do
    for _, section in ipairs(document) do
      for i = 2, #section do fn(section[i], section, document) end
    end
  end
end

describe("what is asked", function()
  it("has one answer each, which is where it is said to be", function()
    local lost, asked, FIELDS = {}, claims(), { script = {}, test = { case = true }, claim = { found = true }, differs = {}, missing = {} }
    expect(asked["T = 4 is better than 1"]):is_true()
    each(function(row)
      local kind = show_demands.kind(row)
      local there = kind == "script" and pcall(read, ("scripts/%s.lua"):format(row.script))
        or kind == "test" and has_case("tests/" .. row.test, row.case) or kind == "claim" and asked[row.claim]
        or kind == "differs" and row.differs:find "^because %S" or kind == "missing" and row.missing ~= ""
      for key in pairs(row) do there = there and (key == 1 or key == kind or FIELDS[kind][key]) end
      if not there then lost[#lost + 1] = ("%s: %s"):format(row[1], row[kind]) end
    end)
    expect(lost):equals {}
  end)
  it("is of three documents, said once each within a section", function()
    expect(#demands):equals(3)
    local seen, count = {}, 0
    each(function(row, section)
      local key = section[1] .. ": " .. row[1]
      if seen[key] then error("twice: " .. key) end
      seen[key], count = true, count + 1
    end)
    expect(count >= 122):is_true()
  end)
  it("must have an answer, and no two", function()
    expect(function() show_demands.kind { "x" } end):fails_with "demands: 'x': expected an answer: script, test"
    expect(function() show_demands.kind { "x", script = "a", missing = "b" } end):fails_with "expected one answer; got script and missing"
  end)
  it("is printed with its counts, and is part of the page", function()
    local text, page = help.topic "demands", help.page {}
    local all, by_document = text:match "(%d+) demands: [^\n]+", 0
    for n in text:gmatch "%)\n(%d+) demands: " do by_document = by_document + n end
    expect(by_document):equals(tonumber(all))
    for _, part in ipairs {
      "\n    T = 1 is a mistake, above 2 a start\n        tests/stdlib/experiment/beforehand_spec.lua: a later stage's temperature",
      "\n        differs, because ", "\n        make claims: T = 4 is better than 2 (open)\n", "\n        missing: " } do
      if not text:find(part, 1, true) then error("no " .. part) end
    end
    expect(page):matches "\n## What is asked\n"
    expect(page):matches "| Alpha | 1 ignores the teacher | tests/stdlib/experiment/dry_run_spec.lua: a teacher that has no say |"
    expect(help.overview()):matches "gradus help demands"
    expect(function() help.of "demnads" end):fails_with "did you mean 'demands'?"
  end)
end)
