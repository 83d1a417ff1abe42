--- The files of a live run's script: whether one was saved, and what differs between two versions of them (live_edit.lua).
local children = require "gradus.children"
local host = require "gradus.host"
local files = require "gradus.base.files"
local sorted_keys = require "gradus.base.sorted_keys"

local LOOK_EVERY = .1  -- seconds

---@alias Texts table<string, {path: string, sha256: string, text: string}>   by path

---@class LiveFiles
---@field watched table<string, boolean>
---@field saved boolean   somebody has saved one
---@field next number     when to look again, monotonic
local LiveFiles = {}
LiveFiles.__index = LiveFiles

local live_files = {}

---@return LiveFiles
function live_files.new()
  -- What was saved after it was read, and before it was watched, is met by the first look.
  return setmetatable({ watched = {}, saved = true, next = 0 }, LiveFiles)
end

local function watch(self, path)
  if self.watched[path] then return end
  children.watch { path }
  self.watched[path] = true
end

--- The user's files as they were read last; all are watched from now on.
---@return Texts
function LiveFiles:read()
  local found = {}
  for _, one in ipairs(host.sources()) do
    found[one.path] = one
    watch(self, one.path)
  end
  return found
end

--- Where modules were looked for in vain, by what was said of it.
---@param why string
---@return string[]
function live_files.looked_for(why)
  local paths = {}
  for list in why:gmatch "not found; looked for ([^;\n]+)" do
    for path in list:gmatch "[^,%s]+" do paths[#paths + 1] = path end
  end
  return paths
end

--- A version has failed: what it has read, or looked for in vain, is watched too, as that may be what is mended.
---@param why string
function LiveFiles:failed(why)
  self:read()
  for _, path in ipairs(live_files.looked_for(why)) do pcall(watch, self, path) end  -- in folders that there are
end

-- Whether a file on the disk is another than it was read. One that is away for a moment is no version.
local function differ(self, texts)
  for path in pairs(self.watched) do
    local text, known = files.read(path), texts[path]
    if text and not (known and known.sha256 == host.sha256(text)) then return true end
  end
  return false
end

--- Whether somebody has saved another version than `texts` since the last look.
---@param texts Texts
---@return boolean
function LiveFiles:look(texts)
  local now = host.monotonic()
  if now < self.next then return false end
  self.next = now + LOOK_EVERY
  for _, event in ipairs(children.wait(0)) do self.saved = self.saved or event.kind == "saved" end
  local saved = self.saved
  self.saved = false
  return saved and differ(self, texts)
end

--- What differs between two versions: { path, was, now } each, with the hashes.
---@param before Texts
---@param after Texts
function live_files.changes(before, after)
  local list = {}
  for _, path in ipairs(sorted_keys(after)) do
    local was, now = before[path], after[path]
    if not was or was.sha256 ~= now.sha256 then list[#list + 1] = { path = path, was = was and was.sha256 or nil, now = now.sha256 } end
  end
  return list
end

return live_files
