--- The files of a run's snapshots: <run's folder>/snapshots/N-STEP.safetensors and N-end.safetensors (snapshots.lua).
local engine = require "gradus.engine"
local host = require "gradus.host"
local plain = require "gradus.base.plain"

local files = { FORMAT = 1 }

--- The snapshot of a file. Raises where it is damaged or of another format.
---@param path string
---@return table
function files.read(path)
  local tensors, text = engine.data.read_snapshot(path)
  local kept = plain.read(text, tensors)
  if kept.format ~= files.FORMAT then
    host.fail(("%s: made by another gradus; expected format %d; got %s"):format(path, files.FORMAT, tostring(kept.format)))
  end
  return kept
end

--- A run's snapshots, the newest last: { file, training, step (inf: the end) } each.
---@param folder string   the run's
function files.list(folder)
  local found = {}
  for _, file in ipairs(host.list_folder(folder .. "/snapshots")) do
    local training, step = file:match "^(%d+)%-(%w+)%.safetensors$"
    if training then
      found[#found + 1] = { file = folder .. "/snapshots/" .. file, training = tonumber(training),
        step = step == "end" and math.huge or tonumber(step) }
    end
  end
  table.sort(found, function(a, b)
    if a.training ~= b.training then return a.training < b.training end
    return a.step < b.step
  end)
  return found
end

--- The snapshot of a file; nil and why not.
---@param file string
function files.open(file)
  local ok, kept = pcall(files.read, file)
  if ok then return kept end
  return nil, host.error_text(kept)
end

--- The newest snapshot of a run's folder that is whole, nil where there is none.
---@param folder string
---@param tell fun(text: string)  told of damaged ones
---@return table?
function files.newest(folder, tell)
  local all = files.list(folder)
  for i = #all, 1, -1 do
    local kept, why = files.open(all[i].file)
    if kept then
      kept.folder = folder
      return kept
    end
    tell(why .. (i > 1 and "; the one before is taken" or ""))
  end
end

--- Removes what was taken after the goal: its events are a dead attempt's. And what was left in part.
---@param folder string
---@param goal table?
function files.forget_after(folder, goal)
  for _, file in ipairs(host.list_folder(folder .. "/snapshots")) do
    if file:find "%.tmp%-" then os.remove(folder .. "/snapshots/" .. file) end  -- was being written
  end
  for _, one in ipairs(files.list(folder)) do
    local step = goal and (goal.over and math.huge or goal.point.step)
    if not goal or one.training > goal.training or one.training == goal.training and one.step > step then os.remove(one.file) end
  end
end

return files
