-- What gradus.store takes from Lua: numbers that no integer holds are refused, not cut.
local host = require "gradus.host"
local stores = require "gradus.store"

local folder = os.tmpname()
os.remove(folder)
host.mkdirs(folder)
after_all(function() os.execute("rm -rf " .. folder) end)
local store = stores.open(folder .. "/s.db")

local function begin(fields)
  fields.name = "x"
  store:begin(fields):finish "finished"
  return store:query("SELECT seed, threads FROM runs ORDER BY id DESC LIMIT 1")[1]
end

describe("whole numbers of a run", function()
  it("are kept, up to what a double holds exactly", function()
    expect(begin { seed = 2 ^ 53, environment = { threads = 3 } }):equals { seed = 2 ^ 53, threads = 3 }
    expect(begin { seed = -2 ^ 53 }):equals { seed = -2 ^ 53 }
    expect(begin { seed = "12" }):equals { seed = 12 }
    expect(begin { seed = {} }):equals {}
  end)
  local others = { { 0 / 0, "nan" }, { 1 / 0, "inf" }, { -1e300, "-1e+300" }, { 2 ^ 53 + 2, "9.007199254741e+15" }, { 1.5, "1.5" } }
  for _, case in ipairs(others) do
    it("are not " .. case[2], function()
      local wanted = ": expected a whole number; got " .. case[2]
      expect(function() begin { seed = case[1] } end):fails_with("store: seed" .. wanted)
      expect(function() begin { environment = { threads = case[1] } } end):fails_with("store: threads" .. wanted)
      expect(function() begin { past = { run = case[1] } } end):fails_with("store: run" .. wanted)
      expect(function() store:resume(1, { step = case[1] }) end):fails_with("store: step" .. wanted)
      expect(function() store:runs { limit = case[1] } end):fails_with("store: limit" .. wanted)
    end)
  end
end)

describe("runs", function()
  it("are as many as are asked for; 0 and more than there can be are all", function()
    local all = store:query("SELECT count(*) AS n FROM runs")[1].n
    for limit, n in pairs { [0] = all, [1] = 1, [2 ^ 32 + 1] = all, [2 ^ 31] = all, [-2 ^ 32 + 1] = all } do
      expect(#store:runs { limit = limit }):equals(n)
    end
  end)
end)
