--- How an entry of comments.lua looks: as text for a terminal, as Markdown, as a line of a list.
local comments = require "gradus.base.comments"
local examples = require "gradus.help.examples"

local show = {}

local WIDTH = 100

local function class_of(name)
  for _, entry in ipairs(comments.all()) do
    if entry.class == name then return entry end
  end
end

-- Lines of at most WIDTH characters; UTF-8's later bytes count nothing.
local function wrap(text, indent)
  local lines, line = {}, ""
  local function length(s) return #s:gsub("[\128-\191]", "") end
  for word in text:gmatch "%S+" do
    if line ~= "" and length(indent) + length(line) + 1 + length(word) > WIDTH then
      lines[#lines + 1], line = indent .. line, word
    else
      line = line == "" and word or line .. " " .. word
    end
  end
  if line ~= "" then lines[#lines + 1] = indent .. line end
  return lines
end

local function append(out, lines)
  for _, line in ipairs(lines) do out[#out + 1] = line end
end

-- An indented line as code, without a description far to its right; nil where it is prose or a sketch with an ellipsis.
local function code_of(line)
  local code = line:match "^   ?(%S.*)$"
  if not code or code:find("…", 1, true) then return nil end
  code = code:gsub("%s%s%s+[^%s-].*$", "")
  return (loadstring(code) or loadstring("return " .. code) or code:find "^local function" or code:find "^function") and code or nil
end

-- Prose, and the lines of code between it.
local function parts_of(text)
  local prose, lines = {}, {}
  for _, line in ipairs(text) do
    local code = code_of(line)
    if code then lines[#lines + 1] = code else prose[#prose + 1] = line end
  end
  return prose, lines
end

-- Lines of code in the comment at the head of the file that use the name.
local function examples_at_head(entry)
  local head, found = comments.of(entry.file)[1], {}
  local last = entry.name:match "([%w_]+)$"
  for _, line in ipairs(head and not head.name and head.text or {}) do
    local code = code_of(line)
    if code and code:find("%f[%w_]" .. last .. "%f[^%w_]") then found[#found + 1] = code end
  end
  return found
end

--- The examples of an entry: its own, else those of examples.lua, else those at the head of its file.
---@param entry Entry
---@return string[] lines
function show.examples(entry)
  local _, own = parts_of(entry.text)
  if #own > 0 then return own end
  local given = examples[entry.name]
  if not given then return examples_at_head(entry) end
  for line in given:gmatch "[^\n]+" do own[#own + 1] = line end
  return own
end

local function table_of(fields, indent)
  local out, width = {}, 0
  for _, field in ipairs(fields) do width = math.max(width, #field.name + (field.optional and 1 or 0)) end
  width = math.min(width, 22)
  for _, field in ipairs(fields) do
    local name = field.name .. (field.optional and "?" or "")
    local lines = wrap(field.type .. (field.type ~= "" and field.text ~= "" and ": " or "") .. field.text, indent .. (" "):rep(width + 2))
    lines[1] = indent .. name .. (" "):rep(math.max(2, width + 2 - #name)) .. (lines[1] or ""):gsub("^%s+", "")
    append(out, lines)
  end
  return out
end

-- The options of a parameter whose type is a documented class.
local function options_of(entry)
  for _, param in ipairs(entry.params) do
    local class = class_of(param.type:match "^([%w_]+)" or "")
    if class and #class.fields > 0 and param.name == "options" then return class end
  end
end

local function neighbours(entry)
  local owner = entry.name:match "^(.*[.:])[%w_]+$"
  local names = {}
  if not owner then return names end
  for _, other in ipairs(comments.of(entry.file)) do
    if other.name and other.name ~= entry.name and other.name:sub(1, #owner) == owner and not other.name:sub(#owner + 1):find "[.:]" then
      names[#names + 1] = other.name
    end
  end
  for i = #names, 9, -1 do names[i] = nil end
  return names
end

local function signature(entry)
  local name, arguments = entry.name, entry.arguments
  if entry.class == entry.name then return name end
  if not arguments and #entry.params > 0 then
    local words = {}
    for i, param in ipairs(entry.params) do words[i] = param.name .. (param.optional and "?" or "") end
    arguments = "(" .. table.concat(words, ", ") .. ")"
  end
  return name .. (arguments or "")
end

--- One entry: signature, prose, parameters, options, returns, examples, see also.
---@param entry Entry
---@return string
function show.entry(entry)
  local out, prose = { signature(entry), "" }, parts_of(entry.text)
  append(out, wrap(table.concat(prose, " "), "  "))
  if #entry.params > 0 then
    out[#out + 1] = ""
    append(out, table_of(entry.params, "  "))
  end
  local options = options_of(entry)
  if options or #entry.fields > 0 then
    append(out, { "", options and "Options" or "Fields" })
    append(out, table_of(options and options.fields or entry.fields, "  "))
  end
  if #entry.returns > 0 then
    append(out, { "", "Returns" })
    for _, one in ipairs(entry.returns) do append(out, wrap(one.type .. (one.text ~= "" and ": " or "") .. one.text, "  ")) end
  end
  local code = show.examples(entry)
  if #code > 0 then
    append(out, { "", "Example" })
    for _, line in ipairs(code) do out[#out + 1] = "  " .. line end
  end
  local also = neighbours(entry)
  append(out, { "" })
  if #also > 0 then append(out, wrap("See also: " .. table.concat(also, ", "), "")) end
  out[#out + 1] = ("Source: stdlib/%s:%d"):format(entry.file, entry.line)
  return table.concat(out, "\n") .. "\n"
end

local function first_sentence(entry)
  local prose = table.concat((parts_of(entry.text)), " ")
  return (prose:match "^(.-[%.:;])%s" or prose):gsub("[%.:;]$", "")
end

--- A line or two for each entry: its name and the first sentence of its comment.
---@param list Entry[]
---@return string[]
function show.list(list)
  local out, width = {}, 0
  for _, entry in ipairs(list) do width = math.max(width, #entry.name) end
  for _, entry in ipairs(list) do
    local lines = wrap(first_sentence(entry), (" "):rep(width + 4))
    lines[1] = "  " .. entry.name .. (" "):rep(width + 2 - #entry.name) .. (lines[1] or ""):gsub("^%s+", "")
    out[#out + 1] = lines[1]
    for i = 2, #lines do out[#out + 1] = lines[i] end
  end
  return out
end

--- Appends the entry as Markdown.
---@param out string[]
---@param entry Entry
function show.markdown(out, entry)
  out[#out + 1] = ("### `%s`\n"):format(signature(entry))
  out[#out + 1] = table.concat((parts_of(entry.text)), " ") .. "\n"
  local options = options_of(entry)
  for _, list in ipairs { entry.params, options and options.fields or entry.fields } do
    if #list > 0 then
      out[#out + 1] = "| name | type | |\n|---|---|---|"
      for _, field in ipairs(list) do
        out[#out + 1] = ("| `%s%s` | `%s` | %s |"):format(field.name, field.optional and "?" or "", (field.type:gsub("|", "\\|")),
          (field.text:gsub("|", "\\|")))
      end
      out[#out + 1] = ""
    end
  end
  for _, one in ipairs(entry.returns) do out[#out + 1] = ("Returns `%s` %s\n"):format(one.type, one.text) end
  local code = show.examples(entry)
  if #code > 0 then out[#out + 1] = "```lua\n" .. table.concat(code, "\n") .. "\n```\n" end
end

show.wrap, show.append, show.parts_of = wrap, append, parts_of

return show
