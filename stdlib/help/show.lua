--- How an entry of comments.lua looks: as text for a terminal, as Markdown, as a line of a list.
local host = require "gradus.host"
local comments = require "gradus.base.comments"
local examples = require "gradus.help.examples"
local fields = require "gradus.help.fields"

local show = {}

local WIDTH = 100  -- where there is no narrower terminal

-- Lines that are not too wide; UTF-8's later bytes count nothing.
local function wrap(text, indent)
  local lines, line = {}, ""
  local widest = host.isatty(1) and math.min(WIDTH, (host.columns())) or WIDTH
  local function length(s) return #s:gsub("[\128-\191]", "") end
  for word in text:gmatch "%S+" do
    if line ~= "" and length(indent) + length(line) + 1 + length(word) > widest then
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

-- "(target.lua)" is for who reads the source.
local function clean(text) return (text:gsub("%s*%([%w_/]+%.lua%)", ""):gsub("%s*%([%w_/]+%.cpp%)", ""):gsub("%s*%([%w_/]+%.h%)", "")) end

-- The name in a script: g.loss.cross_entropy for loss.cross_entropy. Methods are of objects that a script has.
local MODULES = {}
for name in ("nn optim loss data cfg sampler score schedule when curriculum target probe tokenizer"):gmatch "%a+" do
  MODULES[name] = true
end

local function title(name)
  local module = name:match "^([%w_]+)%."
  return module and MODULES[module] and "g." .. name or name
end

-- Code of an example with the names that a script has.
local function with_g(code)
  return (code:gsub("([%w_%.:]*)(%f[%w_][%l_]+)(%.)", function(before, name, dot)
    if before == "" and MODULES[name] then return "g." .. name .. dot end
  end))
end

-- Paragraphs, and the indented lines between them as they stand: sketches of what a script writes.
local function paragraphs(text, indent)
  local out, running = {}, {}
  local function close()
    append(out, wrap(clean(table.concat(running, " ")), indent))
    running = {}
  end
  for _, line in ipairs(text) do
    if line:find "^%s%s" then
      close()
      out[#out + 1] = indent .. with_g(clean(line))
    else
      running[#running + 1] = line
    end
  end
  close()
  return out
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

local function table_of(list, indent)
  local out, width = {}, 0
  for _, field in ipairs(list) do width = math.max(width, #field.name + (field.optional and 1 or 0)) end
  width = math.min(width, 22)
  for _, field in ipairs(list) do
    local name = field.name .. (field.optional and "?" or "")
    local between = field.type ~= "" and field.text ~= "" and ": " or ""
    local lines = wrap(field.type .. between .. clean(field.text), indent .. (" "):rep(width + 2))
    lines[1] = indent .. name .. (" "):rep(math.max(2, width + 2 - #name)) .. (lines[1] or ""):gsub("^%s+", "")
    append(out, lines)
  end
  return out
end

-- The methods of a class, which have a name of their own for its objects.
local function methods_of(entry)
  local prefix, list = entry.class and comments.prefix_of_class(entry.class), {}
  for _, other in ipairs(prefix and comments.all() or {}) do
    if other.name:sub(1, #prefix) == prefix and other ~= entry and not other.class then list[#list + 1] = other end
  end
  return list
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
  for i, name in ipairs(names) do names[i] = title(name) end
  return names
end

local function signature(entry)
  local name, arguments = title(entry.name), entry.arguments
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
  local out, prose = { signature(entry) }, paragraphs(parts_of(entry.text), "  ")
  append(out, #prose > 0 and { "", unpack(prose) } or {})
  local options, params = fields.of_options(entry)
  if #params > 0 then
    out[#out + 1] = ""
    append(out, table_of(params, "  "))
  end
  if options or #entry.fields > 0 then
    append(out, { "", options and "Options" or "Fields" })
    append(out, table_of(options or entry.fields, "  "))
  end
  local methods = methods_of(entry)
  if #methods > 0 then
    append(out, { "", "Methods" })
    append(out, show.list(methods))
  end
  if #entry.returns > 0 then
    append(out, { "", "Returns" })
    for _, one in ipairs(entry.returns) do append(out, wrap(one.type .. (one.text ~= "" and ": " or "") .. one.text, "  ")) end
  end
  local code = show.examples(entry)
  if #code > 0 then
    append(out, { "", "Example" })
    for _, line in ipairs(code) do out[#out + 1] = "  " .. with_g(line) end
  end
  local also = neighbours(entry)
  append(out, { "" })
  if #also > 0 then append(out, wrap("See also: " .. table.concat(also, ", "), "")) end
  out[#out + 1] = ("Source: stdlib/%s:%d"):format(entry.file, entry.line)
  return table.concat(out, "\n") .. "\n"
end

local ABBREVIATIONS = { eq = true, al = true, vs = true, cf = true, g = true, e = true }

-- Up to a full stop or a semicolon that ends a sentence: not one in brackets, or behind "eq".
local function first_sentence(entry)
  local prose, depth = clean(table.concat((parts_of(entry.text)), " ")), 0
  for i = 1, #prose do
    local c = prose:sub(i, i)
    depth = depth + (c:find "[%(%[{]" and 1 or c:find "[%)%]}]" and -1 or 0)
    local ends = depth <= 0 and c:find "[%.;]" and prose:find("^%s", i + 1)
    if ends and not ABBREVIATIONS[prose:sub(1, i - 1):match "(%a+)$"] then return prose:sub(1, i - 1) end
  end
  return (prose:gsub("[%.;]$", ""))
end

--- A line or two for each entry: its name and the first sentence of its comment.
---@param list Entry[]
---@return string[]
function show.list(list)
  local out, width = {}, 0
  for _, entry in ipairs(list) do width = math.max(width, #title(entry.name)) end
  for _, entry in ipairs(list) do
    local lines, name = wrap(first_sentence(entry), (" "):rep(width + 4)), title(entry.name)
    lines[1] = "  " .. name .. (" "):rep(width + 2 - #name) .. (lines[1] or ""):gsub("^%s+", "")
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
  out[#out + 1] = clean(table.concat((parts_of(entry.text)), " ")) .. "\n"
  local options, params = fields.of_options(entry)
  for _, list in ipairs { params, options or entry.fields } do
    if #list > 0 then
      out[#out + 1] = "| name | type | |\n|---|---|---|"
      for _, field in ipairs(list) do
        out[#out + 1] = ("| `%s%s` | `%s` | %s |"):format(field.name, field.optional and "?" or "", (field.type:gsub("|", "\\|")),
          (clean(field.text):gsub("|", "\\|")))
      end
      out[#out + 1] = ""
    end
  end
  for _, one in ipairs(entry.returns) do out[#out + 1] = ("Returns `%s` %s\n"):format(one.type, one.text) end
  local code = show.examples(entry)
  if #code > 0 then out[#out + 1] = "```lua\n" .. with_g(table.concat(code, "\n")) .. "\n```\n" end
end

show.wrap, show.append, show.paragraphs, show.clean, show.title = wrap, append, paragraphs, clean, title

return show
