--- `gradus repl`: lines of Lua, each run at once, with `g` and the store's runs at hand. On a terminal with completion, a history and
--- Ctrl-C that ends what goes on; from a pipe line after line until the first error, whose exit code is the console's.
local editor = require "gradus.editor"
local engine = require "gradus.engine"
local host = require "gradus.host"
local display = require "gradus.help.display"
local names = require "gradus.help.names"

local repl = {}

local GREETING = [[
Gradus %s, LibTorch %s. g is the library; runs(), show(id), weights(id), plot(x), help(x); Ctrl-D ends.]]

-- --- what is at hand ------------------------------------------------------------------------------------------------------------

local function say(text) io.write(text, text:sub(-1) == "\n" and "" or "\n") end

local function stored(options)
  if not host.exists(options.store) then
    host.fail(options.store .. ": no store; expected one that `gradus run` made, or --store FILE", 66)
  end
  return require "gradus.experiment.runs"
end

local function one_run(options, which)
  local runs = stored(options)
  local id = require("gradus.store").open(options.store, true):resolve(tostring(which))
  return runs({ where = ("id == %d"):format(id), children = true, archived = true })[1]
end

-- What the console knows beside Lua and g; each is what scripts have under g, by a short name.
local function at_hand(options)
  local hand = { g = require "gradus" }
  --- runs(): the store's runs, oldest first; runs { where = "lr < 1e-3" }, as g.runs.
  function hand.runs(given) return stored(options)(given) end
  --- show(3), show "@last": a run, its parameters and the ends of its curves; show(3):curve "val/acc" gives steps and values.
  function hand.show(which) return one_run(options, which == nil and "@last" or which) end
  --- weights(3), weights(3, "last"): the file that a run left of its student, for net:load(weights(3)); "best" where it has it.
  function hand.weights(which, kind)
    local run = one_run(options, which == nil and "@last" or which)
    local files = run.store:query("SELECT path FROM artifacts WHERE run_id = ? AND kind = 'weights' ORDER BY path", run.id)
    local found
    for _, file in ipairs(files) do
      if file.path:find(kind or "best", 1, true) or not found and not kind then found = file.path end
    end
    if not found then host.fail(("weights: run %d left none%s"):format(run.id, kind and " called '" .. kind .. "'" or "")) end
    return run.store.folder .. "/" .. run.uid .. "/" .. found
  end
  --- plot(y), plot(x, y), plot { name = y }: lists of numbers or tensors, drawn in the terminal.
  function hand.plot(first, second)
    local columns, rows = host.columns()
    local lines = display.lines(first, second)
    say(display.without_names(editor.plot(lines, "", columns, math.max(6, math.min(16, rows - 8))), lines))
  end
  --- help(x): what is known about a name, a function or an object; help(): what there is.
  function hand.help(topic) say(require("gradus.help.help").of(topic)) end
  return hand
end

-- --- lines ----------------------------------------------------------------------------------------------------------------------

-- Each entry is a chunk of its own, where a local would be gone with its line: at the beginning of one it is kept.
local function keep_locals(text)
  local kept, count = text:gsub("^%s*local%s+function%s+", "function ")
  if count == 0 then kept = text:gsub("^%s*local%s+([%a_][%w_%s,]*=)", "%1") end
  return kept
end

local function show_results(...)
  local count = select("#", ...)
  if count == 0 then return end
  local texts = {}
  for i = 1, count do texts[i] = display.text((select(i, ...))) end
  if count == 1 and (...) == nil then return end
  rawset(_G, "_", (...))
  say(table.concat(texts, "\t"))
end

-- Whether the entry went well; what it returned is shown. Else the error's text and exit code.
local function finish(ok, ...)
  if not ok then return false, ... end
  local shown, text, code = editor.call((function(...)
    local results, count = { ... }, select("#", ...)
    return function() show_results(unpack(results, 1, count)) end
  end)(...))
  return shown, text, code
end

--- Runs one entry. Returns true; or false, the error as it is printed and its exit code; or nil where more lines are wanted.
---@param text string
---@param last boolean  no more lines can come
function repl.enter(text, last)
  local fn, message, early = editor.compile(keep_locals(text:gsub("^%s*=", "", 1)), "repl")  -- "= x", as in Lua's own console
  if fn then
    jit.off(fn, true)  -- a compiled loop does not look whether Ctrl-C was pressed
    return finish(editor.call(fn))
  end
  if early and not last then return nil end
  return false, message .. "\n", 65
end

-- --- where they come from -----------------------------------------------------------------------------------------------------

local function history_file()
  local state = os.getenv "XDG_STATE_HOME"
  if not state or state == "" then state = os.getenv "HOME" and os.getenv "HOME" ~= "" and os.getenv "HOME" .. "/.local/state" end
  return state and state .. "/gradus/repl_history" or ""
end

local function plain_reader()
  return function(prompt)
    io.write(prompt)
    io.flush()
    return io.read "*l"
  end
end

local function on_terminal()
  local edited, why = editor.open(history_file())
  if not edited then say("repl: " .. why) end
  local read = edited and function(prompt) return editor.read(prompt, names.at_end_of) end or plain_reader()
  editor.catch_interrupts()
  say(GREETING:format(host.versions().gradus, engine.torch_version))
  local entry
  while true do
    local line = read(entry and ">> " or "> ")
    if line == nil then break end
    if line == false then
      entry = nil
    elseif entry or line:find "%S" then
      entry = entry and entry .. "\n" .. line or line
      local ok, text = repl.enter(entry, entry ~= line and line == "")
      if ok ~= nil then
        if edited then editor.remember(entry) end
        if not ok then host.write(2, text) end
        entry = nil
      end
    end
  end
  say ""
  return 0
end

local function from_pipe()
  local entry
  for line in io.lines() do
    entry = entry and entry .. "\n" .. line or line
    local ok, text, code = repl.enter(entry, false)
    if ok == false then
      host.write(2, text)
      return code
    end
    if ok then entry = nil end
    if host.stopping() then return require("gradus.children").stop_code() end
  end
  if not entry then return 0 end
  local ok, text, code = repl.enter(entry, true)
  if ok then return 0 end
  host.write(2, text)
  return code
end

--- Returns the process's exit code.
---@param options table  the command line
function repl.run(options)
  engine.set_threads(options.threads or 1)
  for name, value in pairs(at_hand(options)) do rawset(_G, name, value) end
  return host.isatty(0) and host.isatty(1) and on_terminal() or from_pipe()
end

return repl
