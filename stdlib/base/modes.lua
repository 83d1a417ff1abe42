--- Modes belong to their owner: a pass that is not the student's own (an evaluation, a score, a teacher's answer) borrows evaluation
--- mode and gives back every submodule's as it was.
local modes = {}

local function is_training(module)
  if module.training then return true end
  for _, name in ipairs(module._order) do
    if module._kinds[name] == "module" and is_training(module._values[name]) then return true end
  end
  return false
end

-- All that are in training mode, which are put into evaluation mode.
local function borrow(module, found)
  for _, one in module:named_modules() do
    if one.training then
      found[#found + 1] = one
      one.training = false
    end
  end
end

local function give_back(found, ok, ...)
  for _, module in ipairs(found) do module.training = true end
  if not ok then error((...), 0) end
  return ...
end

--- Calls fn(…) with the module in evaluation mode throughout; returns what it returns.
---@param module Module
---@param fn function
function modes.evaluating(module, fn, ...)
  if not is_training(module) then return fn(...) end
  local found = {}
  borrow(module, found)
  return give_back(found, pcall(fn, ...))
end

--- The same for several modules.
---@param list Module[]
function modes.all_evaluating(list, fn, ...)
  local found = nil
  for _, module in ipairs(list) do
    if is_training(module) then
      found = found or {}
      borrow(module, found)
    end
  end
  if not found then return fn(...) end
  return give_back(found, pcall(fn, ...))
end

--- What a training borrows of its student: modes and which parameters are trained. A student that is in evaluation mode as a whole
--- goes into training mode; of one in training mode the parts that a script has put into evaluation mode stay there.
---@class Loan
local Loan = {}
Loan.__index = Loan

-- Parts that a script had put into evaluation mode while the whole was in training: they are known again after a training has
-- returned its student in evaluation mode.
local kept = setmetatable({}, { __mode = "k" })

---@param student Module
---@return Loan
function modes.lend(student)
  local self = setmetatable({ student = student, grads = {}, narrowed = {} }, Loan)
  if student.training then
    for _, module in student:named_modules() do kept[module] = not module.training or nil end
  else
    for _, module in student:named_modules() do module.training = not kept[module] end
  end
  for _, p in ipairs(student:parameters()) do self.grads[p] = p.requires_grad end
  return self
end

local function is_below(name, path) return name == path or name:sub(1, #path + 1) == path .. "." end

-- A path that holds one of the wanted, or lies in one.
local function is_wanted(name, paths)
  for _, path in ipairs(paths) do
    if is_below(name, path) then return path end
  end
end

--- Lets only what is below these paths be trained, of what the script lets be trained; nil: all of that. Statistics of the rest
--- (batch normalisation) stay as they are.
---@param paths? string[]
---@return string? missing  a path without parameters that the script lets be trained
function Loan:train_only(paths)
  for _, module in ipairs(self.narrowed) do module.training = true end
  self.narrowed = {}
  local hits = {}
  for name, p in self.student:named_parameters() do
    local path = paths and is_wanted(name, paths)
    if path and self.grads[p] then hits[path] = true end
    p:requires_grad_(self.grads[p] and (paths == nil or path ~= nil))
  end
  for _, path in ipairs(paths or {}) do
    if not hits[path] then return path end
  end
  for name, module in self.student:named_modules() do
    local has_buffers = next(module._kinds) ~= nil and paths and not is_wanted(name, paths)
    if has_buffers and module.training then
      for _, kind in pairs(module._kinds) do
        if kind == "buffer" and module.training then
          module.training = false
          self.narrowed[#self.narrowed + 1] = module
        end
      end
    end
  end
end

--- Gives back which parameters are trained; the student is in evaluation mode from here on.
function Loan:close()
  for p, wanted in pairs(self.grads) do p:requires_grad_(wanted) end
  for _, module in ipairs(self.narrowed) do module.training = true end
  self.student:eval()
end

return modes
