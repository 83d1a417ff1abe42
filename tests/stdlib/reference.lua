-- Numbers that PyTorch gave (data/*.json): what specs that compare with them share.
local g = require "gradus"
local host = require "gradus.host"

local reference = {}

--- The cases of a file in data/, or in another folder of tests/stdlib.
---@param name string
---@param folder? string
function reference.read(name, folder)
  local file = assert(io.open(("tests/stdlib/%s/%s"):format(folder or "data", name)))
  local text = file:read "*a"
  file:close()
  return host.json_decode(text)
end

--- The tensor of { values =, shape = }.
function reference.tensor(plain, dtype)
  return g.tensor(plain.values, { dtype = dtype or "float32" }):reshape(plain.shape)
end

--- All numbers of a tensor, in order: expect(values(t)):near(wanted.values, 1e-6).
function reference.values(t) return t:flatten():totable() end

return reference
