-- Runs side by side: what becomes of each, and which hang.
local farm = require "gradus.experiment.farm"
local host = require "gradus.host"

local function seconds(n)
  local till = host.monotonic() + n
  while host.monotonic() < till do end
end

-- A pipe that nobody writes to: who reads it waits, without a child of its own.
local pipe = ("%s/gradus-farm-%s"):format(os.getenv "TMPDIR" or "/tmp", host.random_hex(8))
os.execute(("mkfifo '%s'"):format(pipe))
after_all(function() os.remove(pipe) end)

-- Runs the functions, all at once unless said otherwise; what became of each, by its place.
local function outcomes(runs, more)
  local given, found = 0, {}
  local options = { jobs = #runs, quiet = true, next = function()
    given = given + 1
    return runs[given] and { label = "run " .. given, index = given, run = runs[given] }
  end, ended = function(job, outcome)
    found[job.index] = outcome
    if job.index == 2 and #runs == 4 then io.open(pipe, "r+"):close() end  -- who was not ended by now goes on
  end }
  for key, value in pairs(more or {}) do options[key] = value end
  farm.work(options)
  return found
end

local function with_hang(value, fn)
  local getenv = os.getenv
  os.getenv = function(name)
    if name == "GRADUS_HANG" then return value end
    return getenv(name)
  end
  local ok, err = pcall(fn)
  os.getenv = getenv
  if not ok then error(err, 0) end
end

describe("a farm", function()
  it("tells what each run returned, raised, or how it ended", function()
    local found = outcomes { function() return "one" end, function() error "no luck" end, function() os.exit(7) end, function() end }
    expect({ found[1].text, found[1].code, found[1].hung }):equals { "one", 0, false }
    expect(found[2].error.message):matches "no luck"
    assert(found[2].code ~= 0 and not found[2].text)
    expect({ found[3].code, found[3].exited }):equals { 7, true }
    expect(found[4].code):equals(0)
  end)
  it("has as many at once as it may, and goes on when one ends", function()
    local now, most, ended = 0, 0, 0
    local given = 0
    farm.work { jobs = 2, quiet = true, ended = function() now, ended = now - 1, ended + 1 end, next = function()
      if given == 5 then return nil end
      given, now = given + 1, now + 1
      most = math.max(most, now)
      return { label = "run", run = function() end }
    end }
    expect({ most, ended }):equals { 2, 5 }
  end)
  it("ends a run that neither computes nor speaks, and no other", function()
    with_hang("1.5", function()
      local found = outcomes {
        function() io.open(pipe):read "*a" end,
        function()
          seconds(3.5)
          return "computed"
        end,
        function()
          os.execute "sleep 3.5"  -- waits for a child of its own
          return "waited"
        end,
        function()
          os.execute "sleep 0.3"
          return "short"
        end }
      expect({ found[1].hung, found[2].hung, found[3].hung, found[4].hung }):equals { true, false, false, false }
      expect({ found[2].text, found[3].text, found[4].text }):equals { "computed", "waited", "short" }
      expect(found[1].signal ~= 0):is_true()
    end)
  end)
  it("refuses a GRADUS_HANG that is no time", function()
    for _, text in ipairs { "0", "-1", "soon", "" } do
      with_hang(text, function()
        expect(function() outcomes {} end):fails_with(("GRADUS_HANG: expected seconds above 0; got '%s'"):format(text))
      end)
    end
  end)
end)
