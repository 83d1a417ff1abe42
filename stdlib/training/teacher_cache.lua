--- What a teacher says of a fixed data set, computed once: logits, or a layer's projected features, in a file of the store's
--- cache folder that every run of the same teacher and data maps into its memory. The rows are computed in batches of the
--- size that the steps have, so that they are the bits that a forward pass in each step gives.
---
--- Top-k keeps of each row the k largest logits and one number for all others: the logit that leaves them their share of the
--- probability at temperature 1, spread evenly. At another temperature, and among the others, it is an approximation; its
--- error, mean KL(all ‖ kept) over the data at T = 1 and T = 4, is measured, stored and shown.
local engine = require "gradus.engine"
local host = require "gradus.host"
local check = require "gradus.base.check"
local data = require "gradus.data.dataset"
local identity = require "gradus.training.identity"
local nn = require "gradus.nn"
local reached = require "gradus.base.reached"
local reading = require "gradus.base.reading"
local tensor = require "gradus.base.tensor"
local threads = require "gradus.step.threads"
local weights = require "gradus.base.weights"

local ops, files = engine.ops, engine.data
local cache = {}

local MOST = 2 ^ 30          -- bytes of a file that nobody asked for
local TEMPERATURES = { 1, 4 } -- at which the error of top-k is measured

---@class Answers
---@field base table      of the data set whose rows these are
---@field rows Tensor     [N, …, C], or packed [N, …, 2 k + 1]: values, their places, the others' logit
---@field unpack? fun(rows: Tensor): Tensor   logits [B, …, C] from packed rows
---@field flops number    of the teacher for one row
---@field spent number    that computing them took in this process
---@field moved fun(): boolean  whether the teacher is no longer what it was

--- Checks the option: nil (where it changes no bit), true, false or { top = k }.
function cache.check(where, given)
  if given == nil or type(given) == "boolean" then return given end
  if type(given) ~= "table" then host.fail(("%s: expected true, false or { top = … }; got %s"):format(where, check.describe(given))) end
  given = check.options(where, given, { top = check.int(1, 2 ^ 24) })
  if not given.top then host.fail(where .. ": 'top' is missing; expected true, false or { top = 8 }") end
  return given
end

--- Checks what the teacher sees: "augmented", what the student sees (nil too), or "clean".
function cache.check_view(where, view, augmentations)
  view = check.value(where, "teacher_view", view or "augmented", check.choice("augmented", "clean"))
  if view == "clean" and (augmentations.mixup or 0) > 0 then
    host.fail(where .. ": teacher_view: mixup makes inputs of two rows, which have no clean view; expected 'augmented'")
  end
  return view
end

-- --- top-k -------------------------------------------------------------------------------------------------------------

-- [B, …, C] -> [B, …, 2 k + 1], float32, which holds places up to 2^24.
local function pack(logits, k)
  logits = logits:float()
  local values, places = ops.topk(logits, k, { dim = -1 })
  local others = logits:scatter(-1, places, -math.huge):logsumexp({ -1 }, { keepdim = true }) - math.log(math.max(1, logits:size(-1) - k))
  return ops.cat({ values, places:float(), others }, -1)
end

local function unpacker(classes, k)
  return function(rows)
    local shape = rows.shape
    shape[#shape] = classes
    local logits = rows:slice(-1, 2 * k, 2 * k + 1):expand(shape):clone()
    return logits:scatter(-1, rows:slice(-1, k, 2 * k):long(), rows:slice(-1, 0, k))
  end
end

-- Sum of KL(a ‖ b) over the rows of logits at a temperature. A class of probability 0 (a logit of -inf) adds nothing.
local function divergence(a, b, temperature)
  local log_p, log_q = ops.log_softmax(a:double() / temperature, -1), ops.log_softmax(b:double() / temperature, -1)
  return (log_p:exp() * (log_p - log_q)):masked_fill(log_p:eq(-math.huge), 0):sum():item()
end

-- --- the file ------------------------------------------------------------------------------------------------------------

local function bytes_of(text) return engine.tensor({ text:byte(1, -1) }, "uint8") end

-- Fills the tensors of a new file with what `of` says of all rows, batch by batch. Every batch is full: the last begins
-- earlier and has rows again, a data set smaller than a batch is gone through more than once.
local function fill(made, run, o)
  local x, rows, sums = o.base.x, o.base.x:size(0), {}
  local count = math.min(o.batch, rows)
  for at = 0, rows - 1, o.batch do
    local from = math.min(at, rows - count)
    local said = o.of(x:index_select(0, ops.arange(from, from + o.batch):remainder(rows))):cpu():slice(0, 0, count)
    local kept = said
    if o.top then
      kept = pack(said, o.top)
      local fresh = said:slice(0, at - from, count)
      for i, t in ipairs(TEMPERATURES) do
        sums[i] = (sums[i] or 0) + divergence(fresh, o.unpack(kept:slice(0, at - from, count)), t)
      end
    end
    made.rows:slice(0, from, from + count):copy_(kept)
    run:breathe()
  end
  local distributions = made.rows:numel() / made.rows:size(-1)
  for i = 1, #sums do made.error:slice(0, i - 1, i):fill_(sums[i] / distributions) end
  made.hash:copy_(bytes_of(made.rows:hash()))
end

-- The library's functions behind an answer, which was asked before: what only a first call does is no part of it.
local function library_of(o)
  local ok, why
  local ran = reached.by(function() ok, why = pcall(o.of, o.base.x:slice(0, 0, 1)) end)
  if not ok then error(why, 0) end
  return host.json_encode(ran)
end

-- The file's tensors; nil and why where it is not whole, nil alone where the library's functions behind it have changed.
local function open(path, o)
  local ok, stored, told = pcall(files.map_safetensors, path)
  if not ok then return nil, tostring(stored) end
  if told.key ~= o.key then return nil, path .. ": made for another teacher or other data" end
  local read, library = pcall(host.json_decode, told.library or "")
  if not read then return nil, path .. ": not the text that was written" end
  if reached.changed(library) then return nil end
  if not stored.rows or not stored.hash or table.concat(stored.rows.shape, " ") ~= table.concat(o.shape, " ") then
    return nil, path .. ": not the tensors that were written"
  end
  if not stored.hash:equal(bytes_of(stored.rows:hash())) then return nil, path .. ": its content is not what was written" end
  return stored
end

-- Under the lock, so what an earlier process left half made is nobody's.
local function build(path, run, o)
  local part = path .. ".part"
  local ok, err = xpcall(function()
    tensor.no_grad(function()
      local made = files.create_safetensors(part, { rows = ops.zeros({ 1 }, { dtype = o.dtype }):expand(o.shape),
        error = ops.zeros({ #TEMPERATURES }, { dtype = "float64" }), hash = ops.zeros({ 32 }, { dtype = "uint8" }) },
        { key = o.key, top = o.top and tostring(o.top) or nil, library = library_of(o) })
      threads.with(run, o.flops * o.batch, fill, made, run, o)
    end)
    local renamed, why = os.rename(part, path)
    if not renamed then host.fail("teacher_cache: " .. why, 74) end
  end, host.traceback)
  if ok then return end
  os.remove(part)
  error(err, 0)
end

local function open_or_build(path, run, o)
  local lock = run:lock(path .. ".lock", "the teacher's answers")
  local found, spent = "miss", o.flops * math.ceil(o.base.x:size(0) / o.batch) * o.batch
  local ok, stored = xpcall(function()
    if host.exists(path) then
      local known, why = open(path, o)
      if known then
        found, spent = "hit", 0
        return known
      end
      if why then run:warn("teacher_cache", why .. "; the teacher's answers are computed anew") end
    end
    build(path, run, o)
    local made, why = open(path, o)
    if not made then host.fail("teacher_cache: " .. why, 74) end
    return made
  end, host.traceback)
  lock:unlock()
  if not ok then error(stored, 0) end
  return stored, found, spent
end

-- --- whether -------------------------------------------------------------------------------------------------------------

-- The modules among what the target depends on.
local function modules_of(values, found)
  found = found or {}
  for _, one in ipairs(values) do
    if nn.is_module(one) then found[#found + 1] = one
    elseif type(one) == "table" then modules_of(one, found) end
  end
  return found
end

--- The modules among a target's answers.
function cache.modules_of(target) return modules_of(target.identity()) end

-- Whether a student's training moves a part of what the answers come from.
local function is_trained(module, student)
  local own = {}
  for _, p in ipairs(student:parameters()) do own[p] = p.requires_grad end
  for _, p in ipairs(module:parameters()) do
    if own[p] then return true end
  end
end

-- Why the answers are not, or cannot be, taken from a file; nil where they can.
local function obstacle(o)
  if o.given == false then return "teacher_cache = false" end
  if not o.base then return "the data are made as they are needed" end
  if o.base.masking then return "other tokens are hidden each time" end
  if o.augmented and o.view ~= "clean" then return "the teacher sees augmented inputs; expected augment = 0 or teacher_view = 'clean'" end
  if not o.target.identity then return "the target is a function of its own" end
  for _, one in ipairs(modules_of(o.target.identity())) do
    if one == o.student then return "the teacher is what is trained" end
    if o.student and is_trained(one, o.student) then return "a part of the teacher is what is trained" end
  end
end

-- Why it is not worth it, where nobody asked for it.
local function not_worth(o)
  if o.samples and o.samples < o.base.x:size(0) then return "the training sees fewer samples than there are rows" end
  local numbers = 1
  for _, size in ipairs(o.shape) do numbers = numbers * size end
  if numbers * 4 > MOST then return "the answers take more than 1 GiB; expected teacher_cache = true, or { top = … }" end
end

local function skip(run, o, why)
  if o.given then host.fail(("%s: teacher_cache: %s"):format(o.where, why)) end
  run:event("teacher_cache", "none", { why = why })
end

-- What is found out from one row: shape, type and cost of the answers.
local function probe(o)
  local stop = engine.count_flops()
  local said = o.of(o.base.x:slice(0, 0, 1))
  o.flops, o.shape, o.dtype, o.classes = stop(), said.shape, said.dtype, said:size(-1)
  o.shape[1] = o.base.x:size(0)
  o.top = type(o.given) == "table" and o.given.top or nil
  if not o.top then return end
  if o.target.kind ~= "logits" then host.fail(o.where .. ": teacher_cache: top: expected logits; got a layer's features") end
  local kind = o.base.labels and (o.base.labels.answers or o.base.labels.kind)
  if kind == "numbers" or kind == "multilabel" then
    host.fail(("%s: teacher_cache: top: expected logits of classes that exclude each other; the labels are %s"):format(o.where, kind))
  end
  if o.top >= o.classes then
    host.fail(("%s: teacher_cache: top: expected fewer than the %d classes; got %d"):format(o.where, o.classes, o.top))
  end
  o.shape[#o.shape], o.dtype, o.unpack = 2 * o.top + 1, "float32", unpacker(o.classes, o.top)
end

-- The weights that the answers come from, asked once per epoch.
local function weights_of(o)
  local hashes = {}
  for i, module in ipairs(modules_of(o.target.identity())) do hashes[i] = weights.hash(module:state_dict()) end
  return table.concat(hashes)
end

-- All that the answers' bits depend on, but for the library's functions behind them, which the file names: to see them run takes longer
-- than to compare them.
local function key_of(run, o, teacher)
  local parts = { teacher, data.content(o.base, true), o.target.kind, o.batch, o.top or "all", run.device,
    engine.gemm(), engine.torch_version, host.library_text "training/teacher_cache.lua", threads.of(run, o.flops * o.batch) }
  return host.sha256(table.concat(parts, "\n"))
end

local function answers(run, o)
  o.of = function(x) return o.target.of(run.device == "cpu" and x or x:to(run.device)) end
  probe(o)
  if run.dry then return nil end
  if o.given == nil then
    local why = not_worth(o)
    if why then return skip(run, o, why) end
  end
  local is_known, teacher = pcall(identity, "the teacher", o.target.identity())
  if not is_known then return skip(run, o, (host.error_text(teacher):gsub("^[^\n]-:%d+: ", ""))) end
  local before = weights_of(o)
  o.key = key_of(run, o, teacher)
  local folder = run.folder:gsub("[^/]*$", "") .. "cache"
  host.mkdirs(folder)
  local stored, found, spent = open_or_build(("%s/answers-%s.safetensors"):format(folder, o.key:sub(1, 32)), run, o)
  local detail = { rows = o.shape[1], bytes = stored.rows:nbytes(), key = o.key, top = o.top }
  if o.top then
    for i, t in ipairs(TEMPERATURES) do detail["kl_at_" .. t] = stored.error:slice(0, i - 1, i):item() end
    run.line.say(("teacher cache: the largest %d of %d logits; mean KL(all ‖ kept) %.3g at T = 1, %.3g at T = 4"):format(o.top, o.classes,
      detail.kl_at_1, detail.kl_at_4))
  end
  run:event("teacher_cache", found, detail)
  return { base = o.base, rows = stored.rows, unpack = o.unpack, flops = o.flops, spent = spent,
    moved = function() return weights_of(o) ~= before end }
end

--- The answers for a training, or nil where they are computed in each step; which and why is an event. The teacher's modules
--- are left in the modes in which they were.
---@param run Run
---@param o table  where: who asks; given: the option; target: Target; base: of the data set, nil for a generator; batch: rows of
---   a step; augmented: whether x may be; view: "clean" or "augmented"; student: Module?; samples: that the training will see,
---   where that is known
---@return Answers?
function cache.answers(run, o)
  if not o.target.of then return nil end
  local why = obstacle(o)
  if why then return skip(run, o, why) end
  return reading.unnoted(answers, run, o)
end

return cache
