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
  it("takes a hundred levels, and not one more", function()
    local function nested(n)
      local value = {}
      for _ = 2, n do value = { value } end
      return value
    end
    expect(host.json_encode(nested(100))):equals(("["):rep(99) .. "{}" .. ("]"):rep(99))
    expect(function() host.json_encode(nested(101)) end):fails_with "json: tables nested more than 100 deep; does a table hold itself?"
    expect(type(host.json_decode(("["):rep(100) .. ("]"):rep(100)))):equals "table"
    expect(function() host.json_decode(("["):rep(102) .. ("]"):rep(102)) end):fails_with "nested more than 100 deep"
    for _ = 1, 2 do
      local named, text = {}, "1"
      for _ = 1, 95 do named, text = { a = named }, '{"a":' .. text .. "}" end
      expect(#host.json_encode(named)):equals(95 * 6 + 2)
      expect(host.json_encode(host.json_decode(text))):equals(text)
    end
  end)
  it("writes whole numbers without a point as far as a double holds each", function()
    expect(host.json_encode { 2 ^ 53 - 1, -2 ^ 53 + 1, 2 ^ 53, -2 ^ 53, -0.0, 1e300, 2.5 })
      :equals "[9007199254740991,-9007199254740991,9.007199254740992e+15,-9.007199254740992e+15,0,1e+300,2.5]"
    expect(host.json_encode { yes = true, no = false, none = {}, zero = "a\0b", [""] = 1 })
      :equals [[{"":1,"no":false,"none":{},"yes":true,"zero":"a\u0000b"}]]
    expect(host.json_encode "x" .. host.json_encode(true) .. host.json_encode(7)):equals '"x"true7'
    expect(host.json_encode { 1, 2, [2.5] = 3 }):equals "[1,2]"
    expect(function() host.json_encode { [0] = 1 } end):fails_with "a table key is a number; expected text keys, or the list 1..n"
    expect(function() host.json_encode() end):fails_with "value expected"
  end)
  it("reads every kind of value", function()
    local list = host.json_decode '[1,null,2,false,true,-1.5,"a\\u0000b",{"x":[[]]},18446744073709551615]'
    expect(list):equals { 1, nil, 2, false, true, -1.5, "a\0b", { x = { {} } }, 2 ^ 64 }
    expect(host.json_decode "3"):equals(3)
    expect(host.json_decode '{"a\\u0000":1}'):equals { ["a\0"] = 1 }
    expect(host.json_decode "null"):equals(nil)
  end)
end)

describe("nearest", function()
  it("finds the word that was meant", function()
    expect(host.nearest("learing_rate", { "epochs", "learning_rate", "lr" })):equals "learning_rate"
    expect(host.nearest("rnu", { "sql", "run", "show" })):equals "run"
    expect(host.nearest("banana", { "epochs", "lr" })):equals(nil)
    expect(host.nearest("x", {})):equals(nil)
    expect({ host.nearest(3, { "3" }), host.nearest("12", { true, 11, 12 }) }):equals { nil, "12" }
    expect(function() host.nearest "x" end):fails_with "table expected"
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
    expect(function() host.fail "thing: wrong" end):fails_with(line() .. ": thing: wrong")
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

describe("error_text", function()
  it("says what an error object says, whatever it is", function()
    local function meta(fn) return setmetatable({ message = "own" }, { __tostring = fn }) end
    local says = { { 12, "error object is the number 12" }, { 1.5, "error object is the number 1.5" }, { "text", "text" }, { "a\0b",
      "a\0b" },
      { "", "error object is an empty string" }, { {}, "error object is a table without a message" }, { { message = "m" }, "m" },
        { { msg = "ms" }, "ms" },
      { { error = "e" }, "e" }, { { message = "m", msg = "ms", error = "e" }, "m" }, { { message = 3, error = "e" }, "e" },
        { { message = "", msg = "ms" }, "ms" },
      { meta(function() return "told" end), "told" }, { meta(function() error "again" end), "own" }, { meta(function() return {} end),
        "own" },
      { meta(function() return "" end), "own" }, { setmetatable({}, { __index = function() return "never" end }),
        "error object is a table without a message" },
      { print, "error object is a function without a message" }, { true, "error object is a boolean without a message" },
      { coroutine.create(print), "error object is a thread without a message" }, { newproxy(),
        "error object is a userdata without a message" } }
    for _, case in ipairs(says) do expect(host.error_text(case[1])):equals(case[2]) end
    expect(host.error_text(nil)):equals "error object is nil"
    expect(host.error_text(io.stdout)):matches "^file %("
    expect(function() host.error_text() end):fails_with "value expected"
    local number = 12
    host.error_text(number)
    expect(type(number)):equals "number"
  end)
end)

describe("load", function()
  local function message(f, ...) return select(2, f(...)) end
  it("compiles text, with a name, an environment and lists' lengths", function()
    expect(load("return ...", "=n", "t")(7)):equals(7)
    expect(load("return x", nil, "t", { x = 3 })()):equals(3)
    expect(load("return x", "=n", nil, { x = 4 })()):equals(4)
    expect(load("local t = ... return #t, #'abc'")({ 1, 2 })):equals(2)
    local names = "local _t, a_b, _ = ...\nreturn #_t, #a_b._x, #_, #_t .. 'x', -#_t, #_ + #a_b._x"
    expect({ load(names)(require("gradus").zeros(2, 1), { _x = { 1, 2, 3 } }, { 1 }) }):equals { 2, 3, 1, "2x", -2, 4 }
    expect(load(coroutine.wrap(function()
      coroutine.yield "return "
      coroutine.yield "5"
    end))()):equals(5)
    expect(message(load, "x x")):equals [=[[string "x x"]:1: '=' expected near 'x']=]
    expect(message(load, "x x", nil)):equals [=[[string "x x"]:1: '=' expected near 'x']=]
    expect(message(load, "local t = #a\nx x")):matches [=[^%[string "local t = #a%.%.%."%]:2: '=' expected]=]
    expect(message(load, "y = = 3", "=n")):equals "n:1: unexpected symbol near '='"
    expect({ load "x = 1", load "x = 1 =" == nil }):matches "table"
  end)
  it("tells what the habit of another language is in Lua", function()
    expect(message(load, "x += 1")):equals [=[[string "x += 1"]:1: '=' expected near '+'; in Lua: x = x + 1]=]
    expect(message(loadstring, "x != 1", "=n")):equals "n:1: '=' expected near '!'; in Lua: x ~= y"
  end)
  it("takes no bytecode", function()
    for _, f in ipairs { load, loadstring, loadfile } do
      expect({ f("x = 1", "n", "b") == nil, message(f, "x = 1", f == loadfile and "b" or "n", "b") }):equals { true,
        "bytecode is refused; expected Lua source text" }
    end
  end)
  it("of a name of a file says what would read it", function()
    for name, instead in pairs { ["teacher.pt"] = 'net:load "weights.safetensors"', ["a/b.pth"] = 'net:load "weights.safetensors"',
      ["x.ckpt"] = 'net:load "weights.safetensors"', ["x.safetensors"] = 'net:load "weights.safetensors"',
      ["x.npy"] = "g.data.csv(path) or g.data.npy { x = path }", ["x.csv"] = "g.data.csv(path) or g.data.npy { x = path }",
        ["x.lua"] = "require or dofile" } do
      local wanted = "load: '" .. name .. "' is the name of a file; load compiles Lua source; expected " .. instead
      expect(function() load(name) end):fails_with(wanted)
      expect(function() loadstring(name) end):fails_with(wanted)
    end
    for _, text in ipairs { "return x.lua", "x=y.pt", "f(x).pt", ("x"):rep(198) .. ".pt", "x.ptx", "\tx.pt", "\nx.pt" } do
      expect((pcall(load, text))):is_true()
    end
    expect(function() load(("x"):rep(197) .. ".pt") end):fails_with "is the name of a file"
  end)
  it("of files gives functions, values and reasons", function()
    local path = os.tmpname()
    local function write(text)
      local file = io.open(path, "w")
      file:write(text)
      file:close()
    end
    write "local a = ... return a, y, #{ 1, 2, 3 }"
    expect({ setfenv(loadfile(path), { y = 2 })(1) }):equals { 1, 2, 3 }
    expect({ loadfile(path, "t", { y = 6 })(1) }):equals { 1, 6, 3 }
    expect(function() loadfile(path)() end):fails_with(path .. ":1: 'y' is not defined")
    write "local a = ... return a, nil, #{ 1, 2, 3 }"
    expect({ loadfile(path)(5) }):equals { 5, nil, 3 }
    expect({ loadfile(path, "bt")(1) }):equals { 1, nil, 3 }
    expect({ dofile(path) }):equals { nil, nil, 3 }
    expect(select("#", dofile(path))):equals(3)
    local kept = false
    for _, source in ipairs(host.sources()) do kept = kept or (source.path == path and source.sha256 == host.sha256(source.text)) end
    expect(kept):is_true()
    write "x x"
    expect({ loadfile(path) == nil, message(loadfile, path) }):equals { true, path .. ":1: '=' expected near 'x'" }
    expect(function() dofile(path) end):fails_with(path .. ":1: '=' expected near 'x'")
    os.remove(path)
    expect({ loadfile(path) == nil, message(loadfile, path) }):equals { true, path .. ": no such file" }
    expect(function() dofile(path) end):fails_with(path .. ": no such file")
    expect(string.dump):equals(nil)
  end)
end)

describe("what a run was made of", function()
  it("has versions, lines, and the library's calls", function()
    local versions = host.versions()
    expect(versions.gradus .. " " .. versions.luajit .. " " .. versions.sqlite):matches "^%d+%.%d+[%w.-]* LuaJIT 2%.[%w.-]+ 3%.%d+%.%d+$"
    local own = debug.getinfo(1, "S").source
    expect(host.source_line(own, 1)):equals [[local host = require "gradus.host"]]
    expect(host.source_line(own, 2)):equals ""
    expect(host.source_line(own, 1e6)):equals ""
    expect({ host.source_line(own:sub(2), 1), host.source_line("@none.lua", 1) }):equals {}
    expect(host.source_line("@stdlib/curriculum/when.lua", 1)):matches "^%-%-%- "
    local when = require "gradus.curriculum.when"
    local function calls()
      local list = {}
      for _, call in ipairs(host.watched_calls()) do
        if call:find "^curriculum/when.lua:%d+$" then list[#list + 1] = call end
      end
      return list
    end
    expect(function() host.watched_calls() end):fails_with "watched_calls: nothing is watched; expected watch_calls first"
    host.watch_calls()
    when.steps(3)
    host.watch_calls()
    when.epochs(2)
    local inner, outer = calls(), calls()
    expect({ #inner > 0, #outer >= #inner }):equals { true, true }
    local all = table.concat(outer, " ")
    for _, call in ipairs(inner) do expect(all:find(call, 1, true) ~= nil):is_true() end
    for i = 2, #outer do expect(outer[i - 1] < outer[i]):is_true() end
    when.steps(4)
    expect(debug.gethook()):equals(nil)
    host.watch_calls()
    expect(#calls()):equals(0)
    expect(function() host.watched_calls() end):fails_with "nothing is watched"
  end)
end)

describe("require", function()
  it("knows of no paths and no libraries in C", function()
    expect({ package.path, package.cpath, package.loadlib, package.searchpath, rawget(package, "searchers"), package.loaded.ffi,
      package.preload.ffi,
      #package.loaders })
      :equals { "", "", nil, nil, nil, nil, nil, 2 }
    expect(function() require "ffi" end)
      :fails_with "module 'ffi' reads and writes memory unchecked; a script may use it only with --allow-ffi"
    expect(function() require() end):fails_with "string expected"
  end)
  it("calls what is preloaded once, with its name", function()
    local calls = {}
    for name, value in pairs { t = { 1 }, s = "text", n = 0 } do
      package.preload["own_" .. name] = function(...)
        calls[#calls + 1] = { ... }
        return value
      end
      expect({ require("own_" .. name), require("own_" .. name) }):equals { value, value }
      expect(package.loaded["own_" .. name]):equals(value)
      expect(calls[#calls]):equals { "own_" .. name }
    end
    expect(#calls):equals(3)
    package.preload.own_nothing = function() end
    expect({ require "own_nothing", package.loaded.own_nothing }):equals { true, true }
    package.preload.own_false = function() return false end
    expect({ require "own_false", package.loaded.own_false }):equals { false, false }
    package.preload.own_set = function(name)
      package.loaded[name] = "set"
      return "returned"
    end
    expect({ require "own_set", package.loaded.own_set }):equals { "set", "set" }
    package.preload.own_fails = function() error("broken", 0) end
    for _ = 1, 2 do expect(function() require "own_fails" end):fails_with "^broken$" end
    expect(package.loaded.own_fails):equals(nil)
  end)
  it("names the circle in which a module requires itself", function()
    package.preload.own_a = function() return require "own_b" end
    package.preload.own_b = function() return require "own_a" end
    expect(function() require "own_a" end):fails_with "module 'own_a' requires itself: own_a -> own_b -> own_a"
    expect({ package.loaded.own_a, package.loaded.own_b }):equals { nil, nil }
    expect(function() require "own_b" end):fails_with "module 'own_b' requires itself: own_b -> own_a -> own_b"
  end)
  it("says what it looked for, and what was meant", function()
    expect(function() require "no.such" end):fails_with(
      "^.*host_spec.lua:%d+: module 'no%.such' not found; looked for [%w/_.-]*bindings/no/such%.lua, [%w/_.-]*bindings/no/such/init%.lua, "
      .. "[%w/_.-]*no/such%.lua, [%w/_.-]*no/such/init%.lua$")
    expect(function() require "host_spce" end):fails_with "; did you mean 'host_spec'?"
    expect(function() require "gradu" end):fails_with "; did you mean 'gradus'?"
    expect(function() require "gradus.host_" end)
      :fails_with "module 'gradus.host_' is not in the standard library; did you mean 'gradus.host'?"
    for meant, name in pairs { ["gradus.nn.layers"] = "gradus.nn.layer", ["gradus.statistics"] = "gradus.statistic",
      ["gradus.children"] = "gradus.childrn" } do
      expect(function() require(name) end):fails_with("did you mean '" .. meant .. "'?")
    end
    expect(function() require "gradus.qqqqqqqqqqqqqqqqqqq" end)
      :fails_with "module 'gradus.qqqqqqqqqqqqqqqqqqq' is not in the standard library$"
    for _, name in ipairs { "", ".", "..x", "a..b", "../host_spec", "/etc/passwd", "a\\b", "a\0b" } do
      expect(function() require(name) end):fails_with "not found"
    end
    local loaders = { package.loaders[1], package.loaders[2] }
    package.loaders[2] = nil
    local ok, err = pcall(require, "own_none")
    package.loaders[2] = loaders[2]
    expect({ ok, tostring(err):match "module 'own_none' not found$" }):equals { false, "module 'own_none' not found" }
  end)
  it("gives the whole library, which sets no globals", function()
    expect(require "gradus" == require "gradus"):is_true()
    for _, name in ipairs { "host", "store", "children", "editor", "statistics", "engine" } do
      expect(type(require("gradus." .. name))):equals "table"
    end
    local files = host.stdlib_files()
    expect(#files > 100):is_true()
    local before
    for _, file in ipairs(files) do
      expect(before == nil or before < file):is_true()
      before = file
      expect(file):matches "%.lua$"
    end
    expect(host.library_text "init.lua"):matches "gradus"
    expect({ host.library_text "no.lua", #host.stdlib_hash(), host.stdlib_hash() == host.stdlib_hash() }):equals { nil, 64, true }
  end)
end)

describe("Lua's own functions", function()
  it("go through tables whole", function()
    local t = { 10, 20, x = 30 }
    expect({ next {}, next({ 5 }), next({ 5 }, 1) }):equals { nil, 1, nil }
    local seen = {}
    for key, value in pairs(t) do seen[key] = value end
    expect(seen):equals(t)
    expect({ (pcall(next, 5)), (pcall(next)), (pcall(next, t, "none")) }):equals { false, false, false }
    expect(function() pairs() end):fails_with "pairs: expected a table; got nil"
  end)
  it("wait for programs", function()
    expect({ os.execute "exit 3", os.execute "true", os.execute() ~= 0 }):equals { 768, 0, true }
  end)
  it("keep C's numbers and letters", function()
    expect({ os.setlocale(), os.setlocale "C", os.setlocale("POSIX", "numeric"), os.setlocale("no_NO.such", "numeric"),
      os.setlocale("no_NO.such", "ctype") })
      :equals { "C", "C", "C", nil, nil }
    for _, category in ipairs { "all", "collate", "ctype", "monetary", "numeric", "time" } do
      expect(os.setlocale(nil, category)):equals "C"
    end
    expect(function() os.setlocale("C", "everything") end):fails_with "invalid option 'everything'"
  end)
end)

describe("machine", function()
  it("tells times", function()
    local begun = host.monotonic()
    expect(host.monotonic() >= begun and host.monotonic() < begun + 60):is_true()
    expect(host.now()):matches "^%d%d%d%d%-%d%d%-%d%dT%d%d:%d%d:%d%d%.%d%d%dZ$"
    local year, month, day, hour, minute, second, ms = host.now():match "^(%d+)-(%d+)-(%d+)T(%d+):(%d+):(%d+)%.(%d+)Z$"
    local utc = os.date("!*t")
    local told = os.time { year = year, month = month, day = day, hour = hour, min = minute, sec = second } + ms / 1000
    expect(math.abs(told - os.time { year = utc.year, month = utc.month, day = utc.day, hour = utc.hour, min = utc.min,
      sec = utc.sec }) <= 2):is_true()
    begun = host.monotonic()
    os.execute "sleep .05"
    expect(host.monotonic() - begun >= .05 and host.monotonic() - begun < 30):is_true()
  end)
  it("gives random bytes", function()
    expect(host.random_hex(16)):matches("^" .. ("[0-9a-f]"):rep(32) .. "$")
    expect(host.random_hex(16)):differs_from(host.random_hex(16))
    expect({ #host.random_hex(1), #host.random_hex(256) }):equals { 2, 512 }
    for _, count in ipairs { 0, -1, 257 } do
      expect(function() host.random_hex(count) end):fails_with "expected 1 to 256 bytes"
    end
  end)
  it("lists, hashes and locks files", function()
    local folder = os.tmpname()
    os.remove(folder)
    host.mkdirs(folder .. "/b/c")
    host.mkdirs(folder .. "/b/c")
    expect({ host.exists(folder .. "/b/c"), host.exists(folder .. "/x") }):equals { true, false }
    for name, text in pairs { z = "", a = "abc", m = ("x"):rep(70000) } do
      local file = io.open(folder .. "/" .. name, "w")
      file:write(text)
      file:close()
      expect({ host.hash_file(folder .. "/" .. name) }):equals { host.sha256(text), #text }
    end
    expect(host.list_folder(folder)):equals { "a", "b", "m", "z" }
    expect({ host.list_folder(folder .. "/b/c"), host.list_folder(folder .. "/none"), host.list_folder(folder .. "/a") }):equals { {}, {},
      {} }
    expect({ host.hash_file(folder .. "/none") }):equals { nil, folder .. "/none: No such file or directory" }
    expect({ host.hash_file(folder .. "/b") }):equals { nil, folder .. "/b: Is a directory" }
    local open = #host.list_folder "/proc/self/fd"
    for _ = 1, 3 do host.hash_file(folder .. "/m") end
    expect(#host.list_folder "/proc/self/fd"):equals(open)
    local path = folder .. "/lock"
    local lock = host.lock(path)
    expect(host.exists(path)):is_true()
    expect(host.lock(path, 0)):equals(nil)
    local begun = host.monotonic()
    expect(host.lock(path, .1)):equals(nil)
    expect(host.monotonic() - begun >= .1 and host.monotonic() - begun < 5):is_true()
    lock:unlock()
    lock:unlock()
    local again = host.lock(path, 0)
    expect(again):differs_from(nil)
    again = nil  -- luacheck: ignore
    collectgarbage()
    expect(host.lock(path, 0)):differs_from(nil)
    expect(function() host.lock(folder .. "/none/lock") end):fails_with(folder .. "/none/lock: cannot lock: No such file or directory")
    expect(function() lock.unlock {} end):fails_with "gradus.Lock expected"
    os.execute("rm -rf " .. folder)
  end)
  it("tells its name, and that a spec shares no cores and nobody asked it to stop", function()
    expect(host.hostname()):equals(io.popen("uname -n"):read())
    expect({ host.share_cores(1000), host.share_cores(), host.exiting(), host.stopping(), host.saves_wanted() }):equals { 0, 0, nil, nil,
      0 }
    expect(function() host.share_cores "x" end):fails_with "number expected"
    expect(host.isatty(99)):is_false()
    local columns, rows = host.columns()
    expect(columns > 0 and rows > 0):is_true()
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
    host.log("debug", "third")
    host.log("error", "fourth\0")
    host.open_log(nil)
    for _, level in ipairs { "debug", "info", "warning", "error" } do host.log(level, "nowhere") end
    local text = io.open(path):read "*a"
    os.remove(path)
    expect((text:gsub("%d%d%d%d%-%d%d%-%d%dT%d%d:%d%d:%d%d%.%d%d%d", "TIME")))
      :equals "TIME info %s {} as it stands\nTIME warning second\nTIME debug third\nTIME error fourth\0\n"
    expect(function() host.log("loud", "x") end):fails_with "unknown level 'loud'"
    expect(function() host.open_log "/proc/nothing/log" end):fails_with "the log cannot be opened"
  end)
end)

describe("each function", function()
  local function count(...) return select("#", ...) end
  it("gives as many values as it says", function()
    local path = os.tmpname()
    local got = { sha256 = count(host.sha256 "x"), json_encode = count(host.json_encode {}), json_decode = count(host.json_decode "null"),
      nearest = count(host.nearest("x", { "xy" })), none_nearest = count(host.nearest("q", { "xyzab" })), no_word = count(host.nearest(1,
        {})),
      where = count(host.where()), exiting = count(host.exiting()), error_text = count(host.error_text(1)),
        stopping = count(host.stopping()),
      saves_wanted = count(host.saves_wanted()), log = count(host.log("info", "x")), open_log = count(host.open_log()),
      monotonic = count(host.monotonic()), now = count(host.now()), isatty = count(host.isatty()), columns = count(host.columns()),
      write = count(host.write(2, "")), hostname = count(host.hostname()), mkdirs = count(host.mkdirs "."), exists = count(host.exists "."),
      lock = count(host.lock(path)), random_hex = count(host.random_hex(1)), list_folder = count(host.list_folder "."),
      hash_file = count(host.hash_file(path)), no_file = count(host.hash_file "/none"), share_cores = count(host.share_cores()),
      sources = count(host.sources()), stdlib_hash = count(host.stdlib_hash()), library_text = count(host.library_text "init.lua"),
      no_text = count(host.library_text "none"), source_line = count(host.source_line("@x", 1)), stdlib_files = count(host.stdlib_files()),
      versions = count(host.versions()), git = count(host.git()), watch_calls = count(host.watch_calls()),
      watched_calls = count(host.watched_calls()), entering = count(host.entering(print)) }
    local wanted = { columns = 2, hash_file = 2, no_file = 2, log = 0, open_log = 0, mkdirs = 0, watch_calls = 0, entering = 0 }
    for name, n in pairs(got) do expect({ name, n }):equals { name, wanted[name] or 1 } end
    os.remove(path)
  end)
  it("of Lua's that is another here too", function()
    local path = os.tmpname()
    package.preload.own_count = function() return 1, 2 end
    expect({ count(load "x = 1"), count(load "x x"), count(loadstring "x = 1"), count(load("x", "n", "b")), count(loadfile(path)),
      count(loadfile "/none"), count(loadfile(path, "b")), count(require "own_count"), count(require "own_count"), count(dofile(path)),
      count(next {}), count(next { 1 }), count(pairs {}), count(os.execute "true"), count(os.execute()), count(os.setlocale()),
      count(host.traceback "x") }):equals { 1, 2, 1, 2, 1, 2, 2, 1, 1, 0, 1, 2, 3, 1, 1, 1, 1 }
    os.remove(path)
  end)
end)
