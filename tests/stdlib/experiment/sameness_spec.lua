-- What has to be the same for a run that goes on, and what --accept lets be another.
local engine = require "gradus.engine"
local host = require "gradus.host"
local sameness = require "gradus.experiment.sameness"

local run = { device = "cpu", options = {} }

describe("the identity of a program and a machine", function()
  it("has versions, device, kernels and threads", function()
    local versions = host.versions()
    local wanted = { gradus = versions.gradus, torch = engine.torch_version, library = host.stdlib_hash(), device = "cpu",
      machine = engine.gemm(), threads = "auto" }
    expect(sameness.identity(run)):equals(wanted)
    wanted.threads, wanted.device = 3, "other:0"
    expect(sameness.identity { device = "other:0", options = { threads = 3 } }):equals(wanted)
  end)
  it("differs by name, in one order", function()
    local kept = { identity = sameness.identity(run) }
    expect(sameness.differences(kept, run)):equals {}
    for name in pairs(kept.identity) do kept.identity[name] = "was" end
    local now, wanted = sameness.identity(run), {}
    for i, name in ipairs { "gradus", "library", "torch", "device", "machine", "threads" } do
      wanted[i] = { name = name, was = "was", now = tostring(now[name]) }
    end
    expect(sameness.differences(kept, run)):equals(wanted)
    kept = { identity = sameness.identity(run) }
    expect(sameness.differences(kept, { device = "cpu", options = { threads = 2 } })):equals { { name = "threads", was = "auto",
      now = "2" } }
  end)
end)

describe("what differs", function()
  local found = { { name = "torch", was = "1", now = "2" }, { name = "data", what = "train", was = "aa", now = "bb" },
    { name = "data", what = "val", was = "cc", now = "dd" } }
  it("is refused, all of it at once, with what would accept it", function()
    expect(function() sameness.agree("resume", found) end):fails_with("resume: other bits would follow: torch was 1, now 2; "
      .. "data train was aa, now bb; data val was cc, now dd; expected the same, or --accept data,torch")
    expect(function() sameness.agree("fork", found, "torch") end):fails_with("fork: other bits would follow: data train was aa, now bb; "
      .. "data val was cc, now dd; expected the same, or --accept data")
  end)
  it("is taken where it was accepted, and told in words", function()
    expect(sameness.agree("resume", found, "data, torch")):equals { "torch was 1, now 2", "data train was aa, now bb",
      "data val was cc, now dd" }
    expect(sameness.agree("resume", {}, "script,gradus,library,torch,device,machine,threads,data")):equals {}
    expect(sameness.agree("resume", {})):equals {}
  end)
  it("cannot be accepted by a name that is none", function()
    expect(function() sameness.agree("resume", {}, "data,treads") end):fails_with "resume: --accept: no 'treads'; did you mean 'threads'"
  end)
end)

describe("the data of a training", function()
  local kept = { data = { train = ("a"):rep(64), val = ("b"):rep(64) } }
  local function part(train, val) return { fingerprints = function() return { train = train, val = val, more = "c" } end } end
  it("are compared by their fingerprints, of which the beginning is told", function()
    expect(sameness.check_data(part(("a"):rep(64), ("b"):rep(64)), kept)):equals {}
    expect(function() sameness.check_data(part(("a"):rep(64), ("c"):rep(64)), kept) end):fails_with("resume: other bits would follow: "
      .. "data val was bbbbbbbbbbbb, now cccccccccccc; expected the same, or --accept data")
    expect(sameness.check_data(part(("a"):rep(63) .. "b"), kept, "data")):equals { "data train was aaaaaaaaaaaa, now aaaaaaaaaaaa",
      "data val was bbbbbbbbbbbb, now nil" }
  end)
  it("of a snapshot without any, or of a part without any, are what they are", function()
    expect(sameness.check_data(part "x", {})):equals {}
    expect(sameness.check_data({}, {})):equals {}
    expect(sameness.check_data({}, kept, "data")):equals { "data train was aaaaaaaaaaaa, now nil", "data val was bbbbbbbbbbbb, now nil" }
  end)
end)

describe("what ends the command where a run would have other bits", function()
  it("is the data, or the usage where a name is none", function()
    local codes = {}
    require "instead"({ { host, "fail", function(_, code)
      codes[#codes + 1] = code
      error("told", 0)
    end } }, function()
      pcall(sameness.agree, "resume", { { name = "torch", was = "1", now = "2" } })
      pcall(sameness.agree, "resume", {}, "treads")
    end)
    expect(codes):equals { 65, 64 }
  end)
end)
