--- The options of a function, from its comment: of a class that is documented (DistillOptions), or written out in the type
--- ("{ lr: number?, clip: number? }") and explained behind it ("lr: the rate; clip: …").
local comments = require "gradus.base.comments"

local fields = {}

local function class_of(name)
  for _, entry in ipairs(comments.all()) do
    if entry.class == name then return entry end
  end
end

-- At commas outside of brackets: "a: number?, b: { c: any }".
local function split(text)
  local parts, depth, part = {}, 0, ""
  for c in (text .. ","):gmatch "." do
    depth = depth + (c:find "[{%(<%[]" and 1 or c:find "[}%)>%]]" and -1 or 0)
    if c == "," and depth == 0 then
      parts[#parts + 1], part = part, ""
    else
      part = part .. c
    end
  end
  return parts
end

-- The options in a type "{a: number?, b: string}" as fields, with what the text says of each: "a: …; b: …"; and the rest of the text.
local function inline_fields(param)
  local body = param.type:match "^{(.+)}$"
  local list, by_name, rest, last = {}, {}, {}, nil
  for _, part in ipairs(body and split(body) or {}) do
    local name, optional, kind = part:match "^%s*([%w_]+)(%??):%s*(.-)%s*$"
    if not name then return nil end
    local field = { name = name, optional = optional == "?" or kind:find "%?$" ~= nil, type = kind:gsub("%?$", ""), text = "" }
    list[#list + 1], by_name[name] = field, field
  end
  if #list == 0 then return nil end
  for segment in (param.text .. ";"):gmatch "%s*(.-);%f[%s%z]" do
    local name, about = segment:match "^([%w_]+):%s*(.*)$"
    if not name then name, about = segment:match "^([%w_]+)%f[^%w_]", segment end
    local field = by_name[name]
    if field and field.text == "" then
      field.text, last = about, field
    elseif last then
      last.text = last.text .. "; " .. segment
    else
      rest[#rest + 1] = segment
    end
  end
  return list, table.concat(rest, "; ")
end

--- The fields of the options, of a documented class or written out, where the last parameter has some; and the parameters without them.
---@param entry Entry
---@return table[]? fields
---@return table[] params
function fields.of_options(entry)
  local params = {}
  for i, param in ipairs(entry.params) do params[i] = param end
  local last = params[#params]
  if not last then return nil, params end
  local class = last.name == "options" and class_of(last.type:match "^([%w_]+)" or "")
  if class and #class.fields > 0 then return class.fields, params end
  local list, rest = inline_fields(last)
  if not list then return nil, params end
  params[#params] = { name = last.name, optional = last.optional, type = "table", text = rest }
  return list, params
end

return fields
