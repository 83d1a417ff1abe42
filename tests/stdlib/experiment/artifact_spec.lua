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

-- Calls fn(run, folder, rows, again) with a run and a folder beside it; again() ends the run, and begins it as one that goes on.
local function with(fn)
  local folder = ("%s/gradus-spec-%s"):format(os.getenv "TMPDIR" or "/tmp", host.random_hex(8))
  host.mkdirs(folder .. "/other")
  local ok, err = pcall(function()
    local store = require("gradus.store").open(folder .. "/s.db")
    local run
    local function begin(resumes)
      run = require("gradus.experiment.run").begin { store = store, name = "spec", seed = 1, flat = {}, params = {},
        options = { quiet = true }, label = "spec", resumes = resumes }
      return run
    end
    fn(begin(), folder .. "/other", function()
      run.writer:flush()
      return listed(store, run.id)
    end, function()
      run:finish "failed"
      return begin(run.id)
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
  it("leaves no file open", function()
    with(function(run, other)
      write(other .. "/figure.svg", "far")
      local function open_files() return #host.list_folder "/proc/self/fd" end
      local before = open_files()
      for _ = 1, 3 do run:artifact(other .. "/figure.svg") end
      expect(open_files()):equals(before)
      os.execute("rm -rf " .. run.folder)
      for _ = 1, 3 do pcall(run.artifact, run, other .. "/figure.svg") end
      expect(open_files()):equals(before)
    end)
  end)
  it("says where it could not write", function()
    with(function(run, other, rows)
      write(other .. "/figure.svg", "far")
      os.execute("rm -rf " .. run.folder)
      expect(function() run:artifact(other .. "/figure.svg") end):fails_with(("artifact: %s/figure.svg: "):format(run.folder))
      expect(rows()):equals {}
    end)
  end)
  it("tells folders of the run's own from the way to another", function()
    with(function(run, other, rows)
      host.mkdirs(run.folder .. "/ab")
      write(run.folder .. "/ab/table.txt", "1 2 3")
      expect(run:artifact(run.folder .. "/ab/table.txt")):equals(run.folder .. "/ab/table.txt")
      write(other .. "/figure.svg", "far")
      expect(run:artifact(run.folder .. "/../other/figure.svg")):equals(run.folder .. "/figure.svg")
      expect(rows()):equals { "file ab/table.txt 5", "file figure.svg 3" }
    end)
  end)
  it("keeps the file again in a run that goes on", function()
    with(function(run, other, rows, again)
      write(other .. "/figure.svg", "more")
      run:artifact(other .. "/figure.svg")
      write(run.folder .. "/log.txt", "log")
      write(run.folder .. "/killed.txt", "not listed")
      run = again()
      write(other .. "/figure.svg", "newer")
      write(other .. "/killed.txt", "not listed")
      write(other .. "/log.txt", "mine")
      run:artifact(other .. "/figure.svg")
      run:artifact(other .. "/killed.txt")
      expect(rows()):equals { "file figure.svg 5", "file killed.txt 10" }
      expect(function() run:artifact(other .. "/log.txt") end):fails_with "the run has another file of this name"
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
