--- What has to be the same for a run that goes on to have the bits that it would have had: this program, its library, the machine, the
--- data. What differs is refused by name unless it was accepted (--accept).
local engine = require "gradus.engine"
local host = require "gradus.host"
local check = require "gradus.base.check"
local sorted_keys = require "gradus.base.sorted_keys"

local sameness = {}

local USAGE, DATA = 64, 65  -- exit codes
local COMPUTES = { "gradus", "library", "torch", "device", "machine", "threads" }
local NAMES = { "script", "data", unpack(COMPUTES) }

--- What a snapshot keeps of the program and the machine.
---@param run {device: string, options: table}
---@return table<string, any>
function sameness.identity(run)
  local versions = host.versions()
  return { gradus = versions.gradus, torch = engine.torch_version, library = host.stdlib_hash(), device = run.device,
    machine = engine.gemm(), threads = run.options.threads or "auto" }
end

--- What would not give the same bits: { name, then, now } each.
---@param kept table   a snapshot
---@param run {device: string, options: table}
function sameness.differences(kept, run)
  local now, found = sameness.identity(run), {}
  for _, name in ipairs(COMPUTES) do
    if kept.identity[name] ~= now[name] then
      found[#found + 1] = { name = name, was = tostring(kept.identity[name]), now = tostring(now[name]) }
    end
  end
  return found
end

local function in_words(one)
  return ("%s%s was %s, now %s"):format(one.name, one.what and " " .. one.what or "", one.was, one.now)
end

-- What --accept names, as a set.
local function accepted_of(where, accept)
  local accepted, known = {}, {}
  for _, name in ipairs(NAMES) do known[name] = true end
  for word in (accept or ""):gmatch "[^,%s]+" do
    if not known[word] then
      host.fail(("%s: --accept: no '%s'; %s"):format(where, word, check.suggest(word, NAMES, "expected ")), USAGE)
    end
    accepted[word] = true
  end
  return accepted
end

--- Raises unless all that differs was accepted; returns the list of what was, in words.
---@param where string   whom errors blame
---@param found {name: string, what: string?, was: string, now: string}[]
---@param accept string? what --accept says
---@return string[]
function sameness.agree(where, found, accept)
  local accepted, refused, names, taken = accepted_of(where, accept), {}, {}, {}
  for _, one in ipairs(found) do
    if accepted[one.name] then
      taken[#taken + 1] = in_words(one)
    else
      refused[#refused + 1] = in_words(one)
      names[one.name] = true
    end
  end
  if #refused > 0 then
    host.fail(("%s: other bits would follow: %s; expected the same, or --accept %s"):format(where, table.concat(refused, "; "),
      table.concat(sorted_keys(names), ",")), DATA)
  end
  return taken
end

--- Other data give other bits: raises unless a training's are those of the snapshot, or are accepted.
---@param part {fingerprints: (fun(self: any): table<string, string>)?}
---@param kept table
---@param accept string?
---@return string[] taken  what was accepted, in words
function sameness.check_data(part, kept, accept)
  local now, found = part.fingerprints and part:fingerprints() or {}, {}
  for _, name in ipairs(sorted_keys(kept.data or {})) do
    if now[name] ~= kept.data[name] then
      found[#found + 1] = { name = "data", what = name, was = kept.data[name]:sub(1, 12), now = tostring(now[name]):sub(1, 12) }
    end
  end
  return sameness.agree("resume", found, accept)
end

return sameness
