--- What a run's function returns: numbers, which become metrics result/NAME; texts and booleans, which an event keeps. What
--- is neither is kept in the event as well, in words, and ends the run with an error: nothing that was measured is lost.
local engine = require "gradus.engine"
local host = require "gradus.host"
local check = require "gradus.base.check"

local results = {}

local PREFIX, MOST = "result/", 200

--- Why a result cannot have this name; nil where it can.
---@param name any
---@return string?
function results.name_problem(name)
  if type(name) ~= "string" then return "expected a name, as in { acc = .9 }" end
  if name:find "^[%w_./-]+$" and #name + #PREFIX <= MOST then return nil end
  local other = name:gsub("[^%w_./-]+", "_"):sub(1, MOST - #PREFIX)
  return ("expected a name of 1 to %d letters, digits and _ . / -%s"):format(MOST - #PREFIX,
    other ~= "" and (", such as '%s'"):format(other) or "")
end

--- Parts what was returned: numbers by name; all else, in words where it has no value; and what is wrong, one line each.
---@param returned any
---@return table<string, number> numbers, table<string, any> others, string[] problems
function results.sort(returned)
  local numbers, others, problems = {}, {}, {}
  if returned == nil then return numbers, others, problems end
  if type(returned) ~= "table" then
    returned = { returned }
    problems[1] = ("expected a table of results by name, or nothing; got %s"):format(check.describe(returned[1]))
  end
  local is_table = problems[1] == nil  -- else there are no names to blame
  local is_object = type(getmetatable(returned)) == "table"  -- what distill returns: its numbers are the results
  for name, value in pairs(returned) do
    if not is_object and engine.is_tensor(value) and value:numel() == 1 then value = value:item() end
    local kind, wrong = type(value), is_table and results.name_problem(name) or nil
    local plain = kind == "number" or kind == "string" or kind == "boolean"
    if not plain and not is_object then
      wrong = "expected a number, a tensor of one element, a text or a boolean; got " .. check.describe(value)
    end
    if wrong then problems[#problems + 1] = ("result '%s': %s"):format(tostring(name), wrong) end
    if kind == "number" and results.name_problem(name) == nil then numbers[name] = value
    elseif plain then others[tostring(name)] = value
    elseif not is_object then others[tostring(name)] = check.describe(value) end
  end
  table.sort(problems)
  return numbers, others, problems
end

--- Stores what was returned; raises what is wrong with it afterwards.
---@param run Run
---@param returned any
---@return table<string, number> numbers, table<string, any> others
function results.store(run, returned)
  local numbers, others, problems = results.sort(returned)
  local metrics = {}
  for name, value in pairs(numbers) do metrics[PREFIX .. name] = value end
  run:log(metrics)
  if next(others) then run:event("result", "returned", others) end
  if #problems > 0 then
    host.fail(("run: %s; the run's event 'returned' keeps it"):format(table.concat(problems, "; ")))
  end
  return numbers, others
end

return results
