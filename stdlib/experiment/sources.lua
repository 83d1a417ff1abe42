--- The code of a run: the script and the user's modules that this Lua state has loaded, and what a run's function loads later.
local files = require "gradus.base.files"
local host = require "gradus.host"

local sources = {}

--- What is loaded: path -> hash, and how many they are.
---@return table<string, string> hashes
---@return number count
function sources.loaded()
  local hashes, count = {}, 0
  for _, one in ipairs(host.sources()) do
    if not hashes[one.path] then count = count + 1 end
    hashes[one.path] = one.sha256
  end
  return hashes, count
end

--- path -> the hash of what a run would have from there now: what is loaded, else what is on the disk; false where nothing is.
---@return table<string, string|false>
function sources.now()
  return setmetatable(sources.loaded(), { __index = function(hashes, path)
    local text = files.read(path)
    hashes[path] = text and host.sha256(text) or false
    return hashes[path]
  end })
end

--- The text of one: what is loaded, else what is on the disk.
---@param path string
---@return string?
function sources.content(path)
  for _, one in ipairs(host.sources()) do
    if one.path == path then return one.text end
  end
  return files.read(path)
end

--- One in the words of a run's configuration.
---@param one { path: string, sha256: string }  as host.sources() gives it
---@return string
function sources.text(one) return one.path .. " " .. one.sha256 end

return sources
