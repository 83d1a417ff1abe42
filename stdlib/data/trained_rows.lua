--- Which rows of a data set a model was trained on, so that a later script is told where it tests the model on some of them: another
--- seed splits the same rows otherwise.
local engine = require "gradus.engine"
local data = require "gradus.data.dataset"

local ops = engine.ops
local trained_rows = {}

local MOST = 2 ^ 18  -- rows of the whole data set: four are a digit of the text

-- What the data set is, whatever was made of its numbers or labels in the script.
local function origin(base) return base.origin or data.content(base) end

local function mask_of(d)
  local mask = ops.zeros({ d.base.x:size(0) }, { dtype = "int64" })
  mask[d.index] = 1
  return mask
end

local function packed(mask)
  local rows, digits = mask:size(0), {}
  local bits = ops.cat({ mask, ops.zeros({ (4 - rows % 4) % 4 }, { dtype = "int64" }) }, 0):reshape { -1, 4 }
  for i, value in ipairs((bits * engine.tensor({ 8, 4, 2, 1 }, "int64")):sum(1):totable()) do digits[i] = ("%x"):format(value) end
  return table.concat(digits)
end

local function unpacked(text, rows)
  local bits = {}
  for i = 1, #text do
    local value = tonumber(text:sub(i, i), 16)
    for k = 3, 0, -1 do
      bits[#bits + 1] = value >= 2 ^ k and 1 or 0
      value = value % 2 ^ k
    end
  end
  return engine.tensor(bits, "int64"):slice(0, 0, rows)
end

--- What is kept of it with the weights; nil of generators, of tokens and of more rows than that is worth.
---@param d any
---@param seed number  of the run
---@return {data: string, rows: string, seed: number}?
function trained_rows.of(d, seed)
  if not data.is(d) or d.base.masking or d.base.x:size(0) > MOST then return nil end
  return { data = origin(d.base), rows = packed(mask_of(d)), seed = seed }
end

--- How many of a view's rows were trained on; nil where that is not known, or it is other data.
---@param kept {data: string, rows: string}
---@param d Dataset
---@return number?
function trained_rows.count(kept, d)
  local rows = data.is(d) and d.base.x:size(0)
  if not rows or #kept.rows ~= math.ceil(rows / 4) or kept.data ~= origin(d.base) then return nil end
  return unpacked(kept.rows, rows):index_select(0, d.index):sum():item()
end

return trained_rows
