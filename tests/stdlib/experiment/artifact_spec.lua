local host = require "gradus.host"

local function write(path, text)
  local file = assert(io.open(path, "wb"))
  file:write(text)
  file:close()
end

local function read(path)
  local file = assert(io.open(path, "rb"))
  local text = file:read "*a"
  file:close()
  return text
end

local function listed(store, run)
  local rows = {}
  for i, one in ipairs(store:query("SELECT kind, path, bytes FROM artifacts WHERE run_id = ? ORDER BY path", run)) do
    rows[i] = ("%s %s %d"):format(one.kind, one.path, one.bytes)
  end
  return rows
end

-- Calls fn(run, folder) with a run and a folder beside it.
local function with(fn)
  local folder = ("%s/gradus-spec-%s"):format(os.getenv "TMPDIR" or "/tmp", host.random_hex(8))
  host.mkdirs(folder .. "/other")
  local ok, err = pcall(function()
    local store = require("gradus.store").open(folder .. "/s.db")
    local run = require("gradus.experiment.run").begin { store = store, name = "spec", seed = 1, flat = {}, params = {},
      options = { quiet = true }, label = "spec" }
    fn(run, folder .. "/other", function()
      run.writer:flush()
      return listed(store, run.id)
    end)
    run:finish "finished"
  end)
  os.execute("rm -rf " .. folder)
  if not ok then error(err, 0) end
end

describe("run:artifact", function()
  it("lists a file of the run's folder as it is, and keeps a copy of another", function()
    with(function(run, other, rows)
      write(run.folder .. "/table.txt", "1 2")
      expect(run:artifact(run.folder .. "/table.txt")):equals(run.folder .. "/table.txt")
      write(other .. "/figure.svg", ("x"):rep(3e6))
      expect(run:artifact(other .. "/figure.svg", "figure")):equals(run.folder .. "/figure.svg")
      expect(#read(run.folder .. "/figure.svg")):equals(3e6)
      expect(rows()):equals { "figure figure.svg 3000000", "file table.txt 3" }
      write(other .. "/figure.svg", "less")  -- again: the newer one
      run:artifact(other .. "/figure.svg", "figure")
      expect({ read(run.folder .. "/figure.svg"), rows() }):equals { "less", { "figure figure.svg 4", "file table.txt 3" } }
    end)
  end)
  it("refuses what is no file, and a name that the run has taken", function()
    with(function(run, other)
      expect(function() run:artifact(other .. "/none.txt") end):fails_with "artifact: expected a file; got "
      expect(function() run:artifact(3) end):fails_with "artifact"
      expect(function() run:artifact() end):fails_with "artifact"
      expect(function() run:artifact(other) end):fails_with "artifact: "
      write(run.folder .. "/log.txt", "log")
      write(other .. "/log.txt", "mine")
      expect(function() run:artifact(other .. "/log.txt") end):fails_with "the run has another file of this name"
      expect(read(run.folder .. "/log.txt")):equals "log"
      expect(function() run:log_artifact "x" end):fails_with "has no 'log_artifact'; expected run:artifact(path)"
    end)
  end)
end)
