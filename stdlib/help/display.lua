--- Values as the console shows them: tensors and modules as they print, runs of the store as a table or a page, plain tables with
--- what is in them.
local engine = require "gradus.engine"
local check = require "gradus.base.check"
local console = require "gradus.base.console"
local host = require "gradus.host"
local shown = require "gradus.base.shown"
local sorted_keys = require "gradus.base.sorted_keys"
local sparkline = require "gradus.base.sparkline"

local display = {}

local MOST = 24  -- entries of a table

local function is_run(value)
  return type(value) == "table" and type(rawget(value, "uid")) == "string" and type(rawget(value, "params")) == "table"
end

local function number(value) return type(value) == "number" and ("%.4g"):format(value) or tostring(value) end

-- --- runs of the store -------------------------------------------------------------------------------------------------------

-- The metric that tells most of these runs.
local function telling_metric(runs)
  for _, name in ipairs { "result/test", "result/acc", "val/acc", "val/loss", "train/loss" } do
    for _, run in ipairs(runs) do
      if run.last[name] then return name end
    end
  end
end

local function table_of_runs(runs)
  local metric, varied, first = telling_metric(runs), {}, runs[1].params
  for _, run in ipairs(runs) do
    for key, value in pairs(run.params) do varied[key] = varied[key] or first[key] ~= value or nil end
  end
  local params, headings, rows = sorted_keys(varied), { "id", "name", "status" }, {}
  for i = #params, 5, -1 do params[i] = nil end
  for _, key in ipairs(params) do headings[#headings + 1] = key end
  headings[#headings + 1] = metric
  for i, run in ipairs(runs) do
    local row = { ("%d"):format(run.id), run.name, run.status }
    for _, key in ipairs(params) do row[#row + 1] = number(run.params[key]) end
    if metric then row[#row + 1] = run.last[metric] and number(run.last[metric]) or "–" end
    rows[i] = row
  end
  return console.table(headings, rows, 3)
end

local function page_of_run(run)
  local out = { ("run %d  %s  %s%s  %s"):format(run.id, run.name, run.status, run.seed and ("  seed %d"):format(run.seed) or "", run.uid) }
  local params = {}
  for _, key in ipairs(sorted_keys(run.params)) do params[#params + 1] = key .. " = " .. number(run.params[key]) end
  if #params > 0 then out[#out + 1] = "params  " .. table.concat(params, "  ") end
  local width = 0
  for key in pairs(run.last) do width = math.max(width, #key) end
  for _, key in ipairs(sorted_keys(run.last)) do
    local _, values = run:curve(key)
    local curve = #values > 1 and "  " .. sparkline(values, { width = 40 }) or ""
    out[#out + 1] = (("  %-" .. width .. "s  %-10s%s"):format(key, number(run.last[key]), curve):gsub("%s+$", ""))
  end
  return table.concat(out, "\n")
end

-- --- values --------------------------------------------------------------------------------------------------------------------

--- A value in the console's words.
---@param value any
---@return string
function display.text(value)
  if type(value) == "string" then return value end
  if is_run(value) then return page_of_run(value) end
  if shown.is_plain(value) and is_run(value[1]) then return table_of_runs(value) end
  return shown.text(value, MOST)
end

-- --- curves --------------------------------------------------------------------------------------------------------------------

local function numbers(where, value)
  if engine.is_tensor(value) then
    if value:dim() ~= 1 then host.fail(("%s: expected a tensor of one dimension; got %s"):format(where, check.describe(value))) end
    local flat, out = value:detach():to("cpu"):double():contiguous(), {}
    local data = flat:data()
    for i = 1, flat:numel() do out[i] = tonumber(data[i - 1]) end
    return out
  end
  if type(value) ~= "table" then host.fail(("%s: expected a list of numbers or a tensor; got %s"):format(where, check.describe(value))) end
  for i, one in ipairs(value) do
    if type(one) ~= "number" then host.fail(("%s: expected numbers; got %s at %d"):format(where, check.describe(one), i)) end
  end
  return value
end

local function line_of(where, label, y, x)
  y = numbers(where, y)
  if x == nil then
    x = {}
    for i = 1, #y do x[i] = i end
  end
  x = numbers(where, x)
  if #x ~= #y then host.fail(("%s: expected as many x as y; got %d and %d"):format(where, #x, #y)) end
  if #y == 0 then host.fail(where .. ": expected numbers; got none") end
  return { label = label, x = x, y = y }
end

--- The lines of plot(y), plot(x, y) and plot { name = y, … }.
---@return table[]
function display.lines(first, second)
  if second ~= nil then return { line_of("plot", "", second, first) } end
  if shown.is_plain(first) and first[1] == nil and next(first) ~= nil then
    local lines = {}
    for _, name in ipairs(sorted_keys(first)) do lines[#lines + 1] = line_of("plot: " .. tostring(name), tostring(name), first[name]) end
    return lines
  end
  return { line_of("plot", "", first) }
end

--- The drawing without what nobody named: its title, and where there is one line of no name, that.
---@param drawing string
---@param lines table[]
function display.without_names(drawing, lines)
  drawing = drawing:gsub("^[^\n]*\n", "")
  if lines[1].label == "" then drawing = drawing:gsub("[^\n]*\n$", "") end
  return drawing
end

return display
