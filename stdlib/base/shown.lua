--- Plain tables with what is in them, as the console and `print` show them: Lua's own print says "table: 0x7f…".
local sorted_keys = require "gradus.base.sorted_keys"

local shown = {}

local DEEPEST, WIDTH = 3, 110  -- tables within tables; characters of a line
local MOST = 1000              -- entries of a printed table

--- Whether a value is a table without a metatable.
---@param value any
function shown.is_plain(value) return type(value) == "table" and debug.getmetatable(value) == nil end

-- A tensor in a table, in words. Where there is one, the bindings are loaded.
local function tensor_text(value)
  local engine = type(value) == "userdata" and package.loaded["gradus.engine"]
  return engine and engine.is_tensor(value) and require("gradus.base.check").describe(value) or nil
end

local function inner(value, depth, seen, most)
  if type(value) == "string" then return ("%q"):format(value) end
  if type(value) == "number" then return ("%.14g"):format(value) end
  if not shown.is_plain(value) then return depth > 0 and tensor_text(value) or (tostring(value):gsub("\n.*", " …")) end
  if seen[value] then return "{ … }" end
  if next(value) == nil then return "{}" end
  if depth >= DEEPEST then return "{ … }" end
  seen[value] = true
  local out, count = {}, 0
  for _, key in ipairs(sorted_keys(value)) do
    count = count + 1
    if count <= most then
      local text = inner(value[key], depth + 1, seen, most)
      local listed = type(key) == "number" and key == count
      local name = type(key) == "string" and key:find "^[%a_][%w_]*$" and key or "[" .. inner(key, DEEPEST, {}, most) .. "]"
      out[count] = listed and text or name .. " = " .. text
    end
  end
  if count > most then out[#out + 1] = ("… and %d more"):format(count - most) end
  seen[value] = nil
  local line = "{ " .. table.concat(out, ", ") .. " }"
  if #line <= WIDTH then return line end
  local indent = ("  "):rep(depth + 1)
  return "{\n" .. indent .. table.concat(out, ",\n" .. indent) .. "\n" .. ("  "):rep(depth) .. "}"
end

--- A value in words: a plain table by its entries, all else as tostring has it.
---@param value any
---@param most? number  entries of a table, 1000 when left out
---@return string
function shown.text(value, most) return shown.is_plain(value) and inner(value, 0, {}, most or MOST) or tostring(value) end

local raw_print = print

--- print as scripts have it.
function shown.print(...)
  local values, count = { ... }, select("#", ...)
  for i = 1, count do
    if shown.is_plain(values[i]) then values[i] = shown.text(values[i]) end
  end
  raw_print(unpack(values, 1, count))
end

--- Called once for each Lua state.
function shown.install() _G.print = shown.print end

return shown
