local host = require "gradus.host"

-- A pattern for the line `offset` lines from the caller's.
local function line(offset) return "host_spec%.lua:" .. debug.getinfo(2, "l").currentline + (offset or 0) end

describe("sha256", function()
  -- FIPS 180-4 examples, and one length on each side of every padding border (from Python's hashlib).
  local known = {
    { "", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855" },
    { "abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad" },
    { "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
      "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1" },
    { ("a"):rep(1000000), "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0" },
    { ("x"):rep(55), "d5e285683cd4efc02d021a5c62014694958901005d6f71e89e0989fac77e4072" },
    { ("x"):rep(56), "04c26261370ee7541549d16dee320c723e3fd14671e66a099afe0a377c16888e" },
    { ("x"):rep(63), "75220b47218278e656f2013bb8f0c455a25eaf01e86c64924e9d48d89776d6f2" },
    { ("x"):rep(64), "7ce100971f64e7001e8fe5a51973ecdfe1ced42befe7ee8d5fd6219506b5393c" },
    { "\0\255\n", "712450d3c4a79eea9509e75dc1dacdeff58034df538536cfae2da882bd8a0c50" },
  }
  for _, case in ipairs(known) do
    it("of " .. #case[1] .. " bytes", function() expect(host.sha256(case[1])):equals(case[2]) end)
  end
end)

describe("json", function()
  it("goes round", function()
    local value = { a = { 1, 2.5, "three", true, { b = {} } }, ["ü\"\\\n"] = -1e300, zero = 0 }
    expect(host.json_decode(host.json_encode(value))):equals(value)
  end)
  it("has sorted keys and short numbers", function()
    expect(host.json_encode { b = 1, a = 0.1, c = 2 ^ 53 - 1 }):equals '{"a":0.1,"b":1,"c":9007199254740991}'
  end)
  it("tells the numbers that JSON lacks apart, and reads null as nil", function()
    expect(host.json_encode { 0 / 0, -(0 / 0), 1 / 0, -1 / 0 }):equals '["nan","nan","inf","-inf"]'
    expect(host.json_decode('{"a":null}').a):equals(nil)
    expect(host.json_encode(nil)):equals "null"
  end)
  it("replaces bytes that are not UTF-8", function() expect(host.json_encode("\255")):equals '"\239\191\189"' end)
  it("refuses what has no form", function()
    expect(function() host.json_encode { 1, x = 2 } end):fails_with "both list items and the named field 'x'"
    expect(function() host.json_encode { [{}] = 1 } end):fails_with "a table key is a table"
    expect(function() host.json_encode { f = print } end):fails_with "a function has no JSON form"
    expect(function() host.json_decode "{" end):fails_with "json: "
    expect(function() host.json_decode '"\\ud800"' end):fails_with "json: "
  end)
  it("refuses documents that are nested too deeply", function()
    for _, depth in ipairs { 1000, 100000 } do
      expect(function() host.json_decode(("["):rep(depth) .. ("]"):rep(depth)) end):fails_with "nested more than 100 deep"
    end
    expect(host.json_encode(host.json_decode(("["):rep(90) .. "1" .. ("]"):rep(90)))):equals(("["):rep(90) .. "1" .. ("]"):rep(90))
  end)
end)

describe("nearest", function()
  it("finds the word that was meant", function()
    expect(host.nearest("learing_rate", { "epochs", "learning_rate", "lr" })):equals "learning_rate"
    expect(host.nearest("rnu", { "sql", "run", "show" })):equals "run"
    expect(host.nearest("banana", { "epochs", "lr" })):equals(nil)
    expect(host.nearest("x", {})):equals(nil)
  end)
  it("looks at capitals between words that are as near alone", function()
    expect(host.nearest("adamw", { "Adam", "AdamW", "SGD" })):equals "AdamW"
    expect(host.nearest("SGDM", { "sgd" })):equals "sgd"
    expect(host.nearest("CSV", { "idx", "csv" })):equals "csv"
    expect(host.nearest("Temp", { "alpha", "temperature" })):equals "temperature"
    expect(host.nearest("adem", { "ADAM", "adam" })):equals "adam"
    expect(host.nearest("ADEM", { "adam", "ADAM" })):equals "ADAM"
  end)
end)

describe("where", function()
  it("names this file and line", function() expect(host.where()):matches(line() .. "$") end)
  it("makes fail blame this line", function()
    expect(function() host.fail("thing: wrong", 66) end):fails_with(line() .. ": thing: wrong")
  end)
end)

describe("tail_call", function()
  local line_of = require "gradus.base.tail_call"
  local function f() end
  it("finds the line of the only tail call", function()
    local function one(x)
      if x then f() end
      return f(x)
    end
    local function passes_all(...)
      return f(...)
    end
    expect(line_of(one)):matches(line(-5) .. "$")
    expect(line_of(passes_all)):matches(line(-3) .. "$")
  end)
  it("gives the function's line when there are several, or none", function()
    local function two(x)
      if x then return f(1) end
      return f(2)
    end
    expect(line_of(two)):matches(line(-4) .. "$")
    expect(line_of(function() return 1 end)):matches(line() .. "$")
    expect(line_of(math.floor)):equals(nil)
  end)
end)

describe("machine", function()
  it("tells times", function()
    local begun = host.monotonic()
    expect(host.monotonic() >= begun and host.monotonic() < begun + 60):is_true()
    expect(host.now()):matches "^%d%d%d%d%-%d%d%-%d%dT%d%d:%d%d:%d%d%.%d%d%dZ$"
  end)
  it("gives random bytes", function()
    expect(host.random_hex(16)):matches("^" .. ("[0-9a-f]"):rep(32) .. "$")
    expect(host.random_hex(16)):differs_from(host.random_hex(16))
    expect(function() host.random_hex(0) end):fails_with "expected 1 to 256 bytes"
  end)
  it("makes folders, or says why not", function()
    expect(function() host.mkdirs "/proc/nothing/here" end):fails_with "the folder cannot be made"
  end)
  it("writes only to the two standard streams", function()
    expect(function() host.write(5, "x") end):fails_with "expected 1 (output) or 2 (errors)"
  end)
  it("logs by level, to the file that is open", function()
    local path = os.tmpname()
    host.open_log(path)
    host.log("info", "%s {} as it stands")
    host.log("warning", "second")
    host.open_log(nil)
    host.log("info", "nowhere")
    local text = io.open(path):read "*a"
    os.remove(path)
    expect(text):matches "Z? info %%s {} as it stands\n.* warning second\n$"
    expect(function() host.log("loud", "x") end):fails_with "unknown level 'loud'"
    expect(function() host.open_log "/proc/nothing/log" end):fails_with "the log cannot be opened"
  end)
end)
