--- How rows are divided at random into disjoint named parts: d:split { train = .7, val = .15, test = .15 }.
local engine = require "gradus.engine"
local host = require "gradus.host"
local check = require "gradus.base.check"
local current = require "gradus.base.current"
local sorted_keys = require "gradus.base.sorted_keys"

local FIRST = { "train", "val", "test" }  -- in this order, so that a smaller test share leaves the training rows as they are

local function check_shares(shares)
  if type(shares) ~= "table" or next(shares) == nil then
    host.fail "split: expected shares by name: { train = .7, val = .15, test = .15 }"
  end
  local total = 0
  for name, share in pairs(shares) do
    if type(share) ~= "number" or not (share > 0 and share <= 1) then
      host.fail(("split: '%s': expected a share above 0, up to 1; got %s"):format(tostring(name), check.describe(share)))
    end
    total = total + share
  end
  if total > 1 + 1e-9 then host.fail(("split: the shares add up to %.9g; expected at most 1"):format(total)) end
end

local function in_order(shares)
  local names, known = {}, {}
  for _, name in ipairs(FIRST) do
    if shares[name] then names[#names + 1], known[name] = name, true end
  end
  for _, name in ipairs(sorted_keys(shares)) do
    if not known[name] then names[#names + 1] = name end
  end
  return names
end

--- The places of each part's rows, int64 [n] from 0.
---@param rows number
---@param shares table<string, number>
---@param options? {seed: number}
---@return table<string, Tensor>
return function(rows, shares, options)
  local o = check.options("split", options, { "seed" })
  check_shares(shares)
  local order = engine.ops.randperm(rows, { generator = engine.generator(o.seed or current.stream "split") })
  local parts, from, used = {}, 0, 0
  for _, name in ipairs(in_order(shares)) do
    used = used + shares[name]
    local to = math.floor(used * rows + .5)
    if to == from then host.fail(("split: '%s' gets no row of %d"):format(name, rows)) end
    parts[name] = order:slice(0, from, to)
    from = to
  end
  return parts
end
