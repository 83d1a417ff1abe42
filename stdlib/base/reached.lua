--- Which of the standard library's functions a piece of work ran, so that what it made is known to be another's only where
--- one of these has changed: not at any edit of the library. Of a file count the functions that ran, by their text, those
--- around them, and all that stands outside of functions (a constant, a table of defaults); comments on lines of their own
--- do not.
local host = require "gradus.host"
local sorted_keys = require "gradus.base.sorted_keys"
local util = require "jit.util"

local reached = {}

-- What these do is seen or kept, and changes no result.
local WITHOUT_EFFECT = {}
for _, name in ipairs { "base/reading", "base/sparkline", "experiment/cached", "base/console", "experiment/entries",
  "training/identity", "base/reached", "experiment/traced", "training/advice", "experiment/beforehand", "experiment/plan",
  "experiment/honest", "experiment/honest_knobs" } do
  WITHOUT_EFFECT[name .. ".lua"] = true
end

-- Appends the functions below one, whole function or prototype, outer ones first: { first, last, parent }.
local function functions_below(one, parent, found)
  for i = -1, -(util.funcinfo(one).gcconsts or 0), -1 do
    local inner = util.funck(one, i)
    if type(inner) == "proto" then
      local info = util.funcinfo(inner)
      local entry = { first = info.linedefined, last = info.lastlinedefined, parent = parent }
      found[#found + 1] = entry
      functions_below(inner, entry, found)
    end
  end
  return found
end

local function whole_hash(text) return host.sha256(text):sub(1, 16) end
local function short_hash(lines) return host.sha256(table.concat(lines, "\n")):sub(1, 16) end

-- Sorts the lines by the innermost function that has them (nil: none). A function's first and last lines are its parent's
-- too, which may go on there.
local function own_lines(lines, functions)
  local owner, own = {}, {}
  for _, one in ipairs(functions) do
    own[one] = {}
    for i = one.first, one.last do owner[i] = one end
  end
  own.outside = {}
  for i, line in ipairs(lines) do
    if line:find "%S" and not line:find "^%s*%-%-" then
      local one = owner[i]
      table.insert(own[one or "outside"], line)
      while one and (i == one.first or i == one.last) do
        one = one.parent
        table.insert(own[one or "outside"], line)
      end
    end
  end
  return own
end

local parsed = {}
-- { functions = { { first, last, parent, hash } }, outside = hash, whole = hash }, or nil where the library has no such file.
local function parse(file)
  if parsed[file] ~= nil then return parsed[file] or nil end
  local text = host.library_text(file)
  if not text then
    parsed[file] = false
    return nil
  end
  local lines = {}
  for line in (text .. "\n"):gmatch "(.-)\n" do lines[#lines + 1] = line end
  local functions = functions_below(assert(loadstring(text)), nil, {})
  local own = own_lines(lines, functions)
  for _, one in ipairs(functions) do one.hash = short_hash(own[one]) end
  parsed[file] = { functions = functions, outside = short_hash(own.outside), whole = whole_hash(text) }
  return parsed[file]
end

-- "step/scan.lua:12" … -> file -> list of first lines
local function by_file(calls)
  local files = {}
  for _, call in ipairs(calls) do
    local file, line = call:match "^(.*):(%d+)$"
    if not WITHOUT_EFFECT[file] then
      files[file] = files[file] or {}
      table.insert(files[file], tonumber(line))
    end
  end
  return files
end

--- Calls fn(…), which must not raise, and returns what ran of the library: file -> { whole, outside, functions = { hash … } }.
---@param fn fun()
---@return table<string, table>
function reached.by(fn)
  jit.flush()  -- compiled code tells nobody of its calls
  host.watch_calls()
  fn()
  local summary = {}
  for file, lines in pairs(by_file(host.watched_calls())) do
    local known, ran = parse(file), {}
    for _, one in ipairs(known and known.functions or {}) do
      for _, line in ipairs(lines) do
        local at = line == one.first and one
        while at do  -- those around it ran when it was made
          ran[at.hash], at = true, at.parent
        end
      end
    end
    if known then summary[file] = { whole = known.whole, outside = known.outside, functions = sorted_keys(ran) } end
  end
  return summary
end

--- Adds another summary of the same library to one.
---@param summary table<string, table>
---@param other table<string, table>
function reached.join(summary, other)
  for file, one in pairs(other) do
    local ran = {}
    for _, hash in ipairs(one.functions) do ran[hash] = true end
    for _, hash in ipairs(summary[file] and summary[file].functions or {}) do ran[hash] = true end
    summary[file] = { whole = one.whole, outside = one.outside, functions = sorted_keys(ran) }
  end
end

--- The first file of a summary whose functions are no longer what they were; nil where all are.
---@param summary table<string, table>
---@return string?
function reached.changed(summary)
  for _, file in ipairs(sorted_keys(summary)) do
    local then_, text, has = summary[file], host.library_text(file), {}
    if not text then return file end
    if whole_hash(text) ~= then_.whole then
      local now = parse(file)
      for _, one in ipairs(now.functions) do has[one.hash] = true end
      if now.outside ~= then_.outside then return file end
      for _, hash in ipairs(then_.functions) do
        if not has[hash] then return file end
      end
    end
  end
end

return reached
