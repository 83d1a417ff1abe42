--- Optuna's samplers for a sweep: a small Python process beside this one, which is asked for parameters and told what they
--- came to. The study lies in optuna.db beside the store, where Optuna's own tools read it, and the next sweep goes on with it.
local host = require "gradus.host"
local files = require "gradus.base.files"
local sources = require "gradus.experiment.sources"

local optuna = {}

local SCRIPT = [=[
import json, os, sys
def say(**what):
    try: print(json.dumps(what), flush=True)
    except BrokenPipeError: os._exit(0)  # the sweep was killed
try:
    import optuna
except ImportError:
    say(error="python3 has no optuna; expected `pip install optuna`, or another search")
    sys.exit()
optuna.logging.set_verbosity(optuna.logging.ERROR)
given = json.load(open(sys.argv[1]))
axes = given["axes"]
storage = optuna.storages.RDBStorage(given["storage"])
study = optuna.create_study(study_name=given["name"], storage=storage, load_if_exists=True, direction=given["direction"])
states = optuna.trial.TrialState
old, before = study.get_trials(deepcopy=False), []
for trial in old:
    running = trial.state == states.RUNNING  # of a sweep that was interrupted
    if running and len(trial.params) < len(axes): study.tell(trial.number, state=states.FAIL)
    elif (running or trial.state == states.COMPLETE) and "goes_on" not in trial.user_attrs:
        before.append({"number": trial.number, "params": trial.params, "told": not running})
study.sampler = optuna.samplers.TPESampler(seed=given["seed"] + len(old), constant_liar=True)
say(before=before)
for line in sys.stdin:
    what = json.loads(line)
    if what.get("quit"): break
    if what.get("ask"):
        trial = study.ask()
        params = {}
        for axis in axes:
            if "values" in axis: params[axis["key"]] = trial.suggest_categorical(axis["key"], axis["values"])
            elif axis["whole"]: params[axis["key"]] = trial.suggest_int(axis["key"], int(axis["low"]), int(axis["high"]), log=axis["log"])
            else: params[axis["key"]] = trial.suggest_float(axis["key"], axis["low"], axis["high"], log=axis["log"])
        say(number=trial.number, params=params)
    elif "value" not in what: study.tell(what["number"], state=states.FAIL)
    elif not what["again"]: study.tell(what["number"], what["value"])
    else:  # a study's trial has one value: what it came to later is another
        was = study.get_trials(deepcopy=False)[what["number"]]
        study.add_trial(optuna.trial.create_trial(params=was.params, distributions=was.distributions, value=what["value"],
                                                  user_attrs={"goes_on": was.number}))
]=]

local Optuna = {}
Optuna.__index = Optuna

local function quoted(text) return "'" .. text:gsub("'", "'\\''") .. "'" end

function Optuna:answer()
  local line = self.input:read "*l"
  local answer = line and host.json_decode(line) or { error = "the Python process ended; what it said is above" }
  if answer.error then
    self:close()
    host.fail("sweep: optuna: " .. answer.error, 65)
  end
  return answer
end

function Optuna:say(what)
  self.output:write(host.json_encode(what), "\n")
  self.output:flush()
end

--- The parameters of the trials that the study has, and of those that were under way when a sweep was interrupted.
function Optuna:before() return self.old end

--- Parameters to try next.
function Optuna:ask()
  self:say { ask = true }
  local answer = self:answer()
  self.numbers[answer.params] = answer.number
  return answer.params
end

--- What a trial came to; one that the study has is told again only where its run went on since.
---@param trial Trial
---@param went_on? boolean
function Optuna:tell(trial, went_on)
  local number, again = self.numbers[trial.given], self.told[trial.given] or false
  if again and not (went_on and trial.value) then return end
  self.told[trial.given] = true
  self:say { number = number, value = trial.value, again = again }
end

function Optuna:close()
  if not self.output then return end
  pcall(self.say, self, { quit = true })
  self.output:close()
  if self.input then self.input:close() end
  self.output = nil
  os.execute("rm -rf " .. quoted(self.folder))
end

local function described(axis)
  return { key = axis.key, values = axis.values, low = axis.low, high = axis.high, log = axis.scale == "log", whole = axis.whole or false }
end

-- What a trial's value follows from is part of the name of its study, which has one space and one direction: what the same parameters
-- came to under other code, or beside other fixed parameters, says nothing of these.
local function study_name(sweep, axes)
  local words = { host.json_encode(axes), host.json_encode(sweep.fixed), sweep.greater and "maximize" or "minimize" }
  for _, one in ipairs(host.sources()) do words[#words + 1] = sources.text(one) end
  return ("%s %s %s"):format(sweep.options.name or sweep.experiment.name, sweep.by, host.sha256(table.concat(words, "\n")):sub(1, 8))
end

--- Starts the process for a sweep.
function optuna.start(sweep, seed)
  local pipe = io.popen("mktemp -d", "r")
  local folder = pipe:read "*l"
  pipe:close()
  if not folder then host.fail("sweep: optuna: no temporary folder could be made", 74) end
  local axes = {}
  for i, axis in ipairs(sweep.axes) do axes[i] = described(axis) end
  local store = require("gradus.store").open(sweep.options.store)
  assert(files.write(folder .. "/ask.py", SCRIPT))
  assert(files.write(folder .. "/given.json", host.json_encode { axes = axes, name = study_name(sweep, axes), seed = seed,
    direction = sweep.greater and "maximize" or "minimize", storage = "sqlite:///" .. store.folder .. "/optuna.db" }))
  os.execute("mkfifo " .. quoted(folder .. "/answers"))
  local self = setmetatable({ folder = folder, numbers = {}, told = {}, old = {} }, Optuna)
  -- A terminal's Ctrl-C is for the sweep, which tells this process when to end.
  self.output = io.popen(("trap '' INT; exec python3 -u %s %s > %s"):format(quoted(folder .. "/ask.py"), quoted(folder .. "/given.json"),
    quoted(folder .. "/answers")), "w")
  self.input = io.open(folder .. "/answers", "rb")
  for i, one in ipairs(self:answer().before) do
    self.old[i], self.numbers[one.params], self.told[one.params] = one.params, one.number, one.told
  end
  return self
end

return optuna
