-- Numbers that PyTorch gave (data/*.json): what specs that compare with them share.
local g = require "gradus"
local host = require "gradus.host"

local reference = {}

--- The cases of a file in data/.
function reference.read(name)
  local file = assert(io.open("tests/stdlib/data/" .. name))
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
