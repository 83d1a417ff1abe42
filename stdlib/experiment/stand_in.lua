--- A run that takes the place of another one while its script, or a function of it, is called for what it makes: it leaves no trace.
local run_writer = require "gradus.experiment.run_writer"

local SILENT = run_writer.silent()

---@param of Run
---@param own table  fields that differ from those of a run that begins in the place of `of`
---@return Run
return function(of, own)
  local fields = { writer = SILENT, event = SILENT.event, warn = SILENT.warn, id = of.id, uid = of.uid, folder = of.folder, seed = of.seed,
    name = of.name, params = of.params, device = of.device, store = of.store, options = of.options, state = {}, configuration = {},
    threads = 0, step_number = 0, keys = {}, latest = {}, registered = {}, told = {}, began = of.began,
    readback = of.readback, looked = of.looked, line = of.line }
  for name, value in pairs(own) do fields[name] = value end
  return setmetatable(fields, getmetatable(of))
end
