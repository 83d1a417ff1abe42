--- What the user sees while a run goes on: one live line on a terminal, plain lines otherwise; tables at the end.
local host = require "gradus.host"

local console = {}

local LIVE_EVERY, PLAIN_EVERY = .1, 5  -- seconds between lines
local LOOK_EVERY = 16                   -- steps between looks at the clock, so that short steps do not pay for it

local live = host.isatty(2) and os.getenv "TERM" ~= "dumb"

--- Whether standard error is a terminal on which a line can be written again.
function console.live() return live end

--- A run in a process of its own gives its lines to the one that shows all runs: tell(kind, text), kind "status" for where it
--- stands, "waiting", "say" for a line that stays, "done" for its result. nil: this process shows its run itself.
console.tell = nil

--- Seconds as people read them: 0.4s, 12s, 3m 05s, 2h 10m.
function console.duration(seconds)
  if seconds ~= seconds or seconds == math.huge then return "?" end
  if seconds < 10 then return ("%.1fs"):format(seconds) end
  if seconds < 60 then return ("%ds"):format(seconds) end
  if seconds < 3600 then return ("%dm %02ds"):format(seconds / 60, seconds % 60) end
  return ("%dh %02dm"):format(seconds / 3600, seconds % 3600 / 60)
end

--- 950, 12.3k, 4.5M.
function console.count(n)
  if n < 1000 then return ("%d"):format(n) end
  if n < 1e6 then return ("%.1fk"):format(n / 1e3) end
  if n < 1e9 then return ("%.1fM"):format(n / 1e6) end
  return ("%.1fG"):format(n / 1e9)
end

-- A function of the state that tells when a line is due that stays: once an "epoch" or "evaluation"; nil: none is asked for.
local function due_of(log)
  if not log then return nil end
  local of, known
  return function(s)
    local now = log == "epoch" and math.floor(s.epoch + 1e-9) or s.evaluations
    local fresh = s ~= of
    local due = now > (fresh and 0 or known)
    of, known = s, now
    return due
  end
end

-- A function of the state that tells when a line is due that is written over: the seconds since it began, or nil. The clock is asked
-- every few steps only.
local function pace_of(began)
  local last, looked = 0, 0
  return function(s, force)
    if not force and s.step - looked < LOOK_EVERY and s.step >= looked then return nil end
    looked = s.step
    local now = host.monotonic()
    if not force and now - last < (live and LIVE_EVERY or PLAIN_EVERY) then return nil end
    if not live and last == 0 and not force then
      last = began
      if now - last < PLAIN_EVERY then return nil end
    end
    last = now
    return now - began
  end
end

--- A progress line for one run. `label` is at its beginning: "3/12 linear_ramp seed 1".
---@param label string
---@param quiet? boolean
---@param log? string  "epoch" or "evaluation": a line for each stays
function console.progress(label, quiet, log)
  local began, shown = host.monotonic(), false
  local line, due, pace = {}, due_of(log), pace_of(began)

  local function clear()
    if shown then host.write(2, "\r\27[K") end
    shown = false
  end

  --- Called once per step; formats only when a line is due.
  function line.step(s, parts, force)
    if quiet then return end
    if due then
      if due(s) then line.say(("%s  epoch %.4g  %s"):format(label, s.epoch, table.concat(parts(s, host.monotonic() - began), "  "))) end
      if not live or console.tell then return end
    end
    local seconds = pace(s, force)
    if not seconds then return end
    local words, optional = parts(s, seconds)
    if console.tell then
      console.tell("status", table.concat(words, "  "))
    elseif live then
      host.write(2, "\r\27[K" .. console.fit(label, words, optional, math.max(20, host.columns() - 1)))
      shown = true
    else
      host.write(2, label .. "  " .. table.concat(words, "  ") .. "\n")
    end
  end

  --- Prints a line that stays; one of what has gone wrong even where all else is quiet.
  ---@param text string
  ---@param is_error? boolean
  function line.say(text, is_error)
    if quiet and not is_error then return end
    if console.tell then return console.tell("say", text) end
    clear()
    host.write(2, text .. "\n")
  end

  --- What the run came to, after its label.
  function line.done(text)
    if quiet then return end
    if console.tell then return console.tell("done", text) end
    line.say(label .. "  " .. text)
  end

  --- Shows that the run waits for another process.
  function line.waiting(text)
    if quiet then return end
    if console.tell then return console.tell("waiting", text) end
    if not live then return end
    host.write(2, "\r\27[K" .. console.fit(label, { text }, nil, math.max(20, host.columns() - 1)))
    shown = true
  end

  line.clear = clear
  return line
end

local function width(text)
  local _, continuation = text:gsub("[\128-\191]", "")
  return #text - continuation
end

--- Label and words in one line of at most `columns`: words named in `optional` are left out, first ones first, until it fits.
---@param label string
---@param words string[]
---@param optional? string[]
---@param columns number
function console.fit(label, words, optional, columns)
  local left_out = {}
  local function line()
    local shown = { label }
    for _, word in ipairs(words) do
      if not left_out[word] then shown[#shown + 1] = word end
    end
    return table.concat(shown, "  ")
  end
  local text = line()
  for _, word in ipairs(optional or {}) do
    if width(text) <= columns then return text end
    left_out[word] = true
    text = line()
  end
  if width(text) <= columns then return text end
  local out, count = {}, 0
  for character in text:gmatch "[%z\1-\127\192-\255][\128-\191]*" do
    if count == columns - 1 then break end
    out[#out + 1], count = character, count + 1
  end
  return table.concat(out) .. "…"
end

--- The parts of a distillation's line: step, loss, accuracy, stage, temperature, speed, time left; and those that a narrow
--- terminal does without, the least telling first.
function console.training_parts(total_steps, knobs, row)
  -- knobs and row are filled anew at each step
  return function(s, elapsed)
    local parts, optional = { total_steps and ("step %d/%d"):format(s.step, total_steps) or ("step %d"):format(s.step) }, {}
    if row["train/loss"] then parts[#parts + 1] = ("loss %.4f"):format(row["train/loss"]) end
    local acc = s.series["val/acc"]
    if acc then parts[#parts + 1] = ("val %.1f%%"):format(100 * acc[#acc].value) end
    if s.stage ~= "all" then parts[#parts + 1] = s.stage end
    if s.seconds > 0 then
      parts[#parts + 1] = console.count(s.samples / s.seconds) .. " samples/s"
      optional[1] = parts[#parts]
    end
    if knobs.temperature then
      table.insert(parts, #parts, ("T %.1f"):format(knobs.temperature))
      optional[#optional + 1] = parts[#parts - 1]
    end
    if s.progress > .02 and s.progress < 1 then
      parts[#parts + 1] = console.duration(elapsed * (1 - s.progress) / s.progress) .. " left"
    end
    if s.stage ~= "all" then optional[#optional + 1] = s.stage end
    return parts, optional
  end
end

local function aligned(headings, rows, text_columns)
  local widths = {}
  for c, heading in ipairs(headings) do
    widths[c] = width(heading)
    for _, row in ipairs(rows) do widths[c] = math.max(widths[c], width(row[c])) end
  end
  local function format(cells)
    local out = {}
    for c, cell in ipairs(cells) do
      local pad = (" "):rep(widths[c] - width(cell))
      out[c] = c <= text_columns and cell .. pad or pad .. cell
    end
    return ("  " .. table.concat(out, "  ")):gsub("%s+$", "")
  end
  local lines = { format(headings) }
  local rule = {}
  for c, w in ipairs(widths) do rule[c] = ("─"):rep(w) end
  lines[2] = "  " .. table.concat(rule, "  ")
  for _, row in ipairs(rows) do lines[#lines + 1] = format(row) end
  return table.concat(lines, "\n"), width(lines[2])
end

-- The columns at these positions.
local function pick(cells, positions)
  local out = {}
  for i, position in ipairs(positions) do out[i] = cells[position] end
  return out
end

--- An aligned table: the first columns of text to the left, numbers to the right. One that is wider than the terminal, or
--- 80 columns where there is none, is continued below, under the columns of text again.
---@param headings string[]
---@param rows string[][]
---@param text_columns number  how many columns are text
function console.table(headings, rows, text_columns)
  local most = host.columns()
  local blocks, from = {}, text_columns + 1
  repeat
    local positions, text = {}, nil
    for c = 1, text_columns do positions[c] = c end
    for c = from, #headings do
      positions[#positions + 1] = c
      local picked = {}
      for r, row in ipairs(rows) do picked[r] = pick(row, positions) end
      local block, wide = aligned(pick(headings, positions), picked, text_columns)
      if text and wide > most then break end
      text, from = block, c + 1
    end
    blocks[#blocks + 1] = text or aligned(headings, rows, text_columns)
  until from > #headings
  return table.concat(blocks, "\n\n")
end

return console
