--- A run leaves its students: the weights after the last step and the best ones, as files of the run (safetensors, with
--- PyTorch's names) whose metadata say what is needed to use them. A training names its student when it begins; the files are
--- written when the run ends, however it ends: interrupted and failed runs have them too.
---   student.last.safetensors   student.best.safetensors   of the second training student-2.…
--- g.experiment { save = false } leaves them out. What run:cached builds is in the cache already.
local engine = require "gradus.engine"
local host = require "gradus.host"
local check = require "gradus.base.check"
local is_module = require("gradus.nn.module").is_module

local student_artifact = {}

-- Texts stay texts, all else is JSON: { class_names = { "cat", "dog" } } -> '["cat","dog"]'.
local function as_texts(metadata)
  local texts = {}
  for name, value in pairs(metadata) do texts[name] = type(value) == "string" and value or host.json_encode(value) end
  return texts
end

--- Writes weights to <run's folder>/NAME.safetensors and lists the file among the run's artifacts; the same name again
--- replaces it, as a whole.
---@param run Run
---@param name string                             letters, digits, "_", "-" and "."
---@param weights Module|table<string, Tensor>
---@param metadata? table<string, any>            besides the run's uid: texts, or what JSON has a form for
---@return string path
function student_artifact.save(run, name, weights, metadata)
  if type(name) ~= "string" or not name:find "^[%w_.-]+$" or name:find "^%." then
    check.fail("student_artifact", "name: expected letters, digits, '_', '-' and '.'; got %s", check.describe(name))
  end
  local texts = as_texts(metadata or {})
  texts.run = run.uid
  if is_module(weights) then texts.model = texts.model or tostring(weights) end
  local file = name .. ".safetensors"
  local path = run.folder .. "/" .. file
  engine.data.write_safetensors(path, is_module(weights) and weights:state_dict() or weights, texts)
  run.writer:artifact("weights", file, host.hash_file(path))
  return path
end

--- Whether the run leaves its students.
function student_artifact.wanted(run)
  return not run.dry and not run.replaying and rawget(run, "save_students") ~= false and rawget(run, "outermost") == nil
end

--- Has the run leave a student when it ends.
---@param run Run
---@param student Module
---@param about? { best: (fun(): table<string, Tensor>?)?, last: (fun(): table<string, Tensor>?)?, metadata: (fun(): table<string, any>)? }
---   all asked when the run ends. best: the best weights by name, nil where there are none but the last; last: those after the
---   last step, nil where the student holds them; metadata: class_names, columns, step, …
function student_artifact.track(run, student, about)
  if not student_artifact.wanted(run) then return end
  run.students = run.students or {}
  for _, one in ipairs(run.students) do
    if one.student == student then  -- a second training of the same student goes on from the first
      one.about = about or {}
      return
    end
  end
  table.insert(run.students, { student = student, about = about or {} })
end

local function save_one(run, stem, one)
  local metadata = one.about.metadata and one.about.metadata() or {}
  metadata.model = metadata.model or tostring(one.student)
  student_artifact.save(run, stem .. ".last", one.about.last and one.about.last() or one.student, metadata)
  local best = one.about.best and one.about.best()
  if best then student_artifact.save(run, stem .. ".best", best, metadata) end
end

--- Writes what was named; a file that cannot be written is told of and is no reason for the run to fail.
---@param run Run
function student_artifact.save_all(run)
  for i, one in ipairs(run.students or {}) do
    local ok, why = pcall(save_one, run, i == 1 and "student" or "student-" .. i, one)
    if not ok then
      run:event("warning", "student", { text = tostring(why) })
      run.line.say("warning: the student is not kept: " .. tostring(why))
    end
  end
  run.students = false
end

return student_artifact
