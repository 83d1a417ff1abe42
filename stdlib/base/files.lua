--- Files as a whole: what they hold, and writing them.
local files = {}

--- What a file holds; nil and why where it cannot be read.
---@param path string
---@return string?
---@return string? why
function files.read(path)
  local file, why = io.open(path, "rb")
  if not file then return nil, why end
  local text, failed = file:read "*a"
  file:close()
  return text, failed
end

--- Writes a file. A full disk is told when the bytes are written or when the file is closed: nil and why.
---@param path string
---@param text string
---@return true?
---@return string? why
function files.write(path, text)
  local file, why = io.open(path, "wb")
  if not file then return nil, why end
  local written, failed = file:write(text)
  local closed, late = file:close()
  if written and closed then return true end
  return nil, failed or late
end

--- Writes a file whole or not at all: who reads it meanwhile reads what it was.
---@param path string
---@param text string
---@return true?
---@return string? why
function files.replace(path, text)
  local part = path .. ".part"
  local ok, why = files.write(part, text)
  if ok then ok, why = os.rename(part, path) end
  if ok then return true end
  os.remove(part)
  return nil, why
end

return files
