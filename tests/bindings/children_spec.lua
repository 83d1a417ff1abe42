-- Processes forked from this one, as gradus.children gives them to Lua: what they say, are asked, print, and how they end.
local host = require "gradus.host"
local children = require "gradus.children"

-- What a child sends until it has ended; answers: kind of message -> what it is told.
local function all_of(child, answers)
  local events, deadline = {}, host.monotonic() + 60
  while host.monotonic() < deadline do
    for _, event in ipairs(children.wait(.2)) do
      if event.child == child then
        events[#events + 1] = event
        if answers and answers[event.kind] then children.answer(child, answers[event.kind]) end
        if event.kind == "end" then return events, event end
      end
    end
  end
  error "the child did not end"
end

local function said(events)
  local list = {}
  for _, event in ipairs(events) do
    if event.kind ~= "end" then list[#list + 1] = event.kind .. ": " .. event.text end
  end
  table.sort(list)
  return list
end

describe("a child", function()
  it("sends what its function returns, and what it says meanwhile", function()
    expect(children.inside()):is_false()
    local child = children.spawn(function()
      children.tell("first", "a\0b")
      children.tell("second", ("x"):rep(200000))
      children.tell("", "")
      return "result of " .. tostring(children.inside())
    end)
    local events, ending = all_of(child)
    expect(said(events)):equals { ": ", "first: a\0b", "result: result of true", "second: " .. ("x"):rep(200000) }
    expect({ ending.code, ending.signal, ending.text, ending.child }):equals { 0, 0, "", child }
    expect(ending.seconds >= 0 and ending.seconds < 60 and ending.peak > 2 ^ 20 and ending.peak < 2 ^ 33):is_true()
    for _, event in ipairs(events) do
      if event.kind ~= "end" then expect({ event.code, event.signal, event.seconds, event.peak }):equals { 0, 0, 0, 0 } end
    end
    expect(#children.wait(0)):equals(0)
    expect(said(all_of(children.spawn(function() end)))):equals { "result: null" }
    expect(said(all_of(children.spawn(function() return 7 end)))):equals { "result: 7" }
  end)
  it("tells of an error, with its code and as it would be printed", function()
    local events, ending = all_of(children.spawn(function()
      local none = nil  -- luacheck: ignore
      return none.field
    end))
    expect(ending.code):equals(65)
    local error_of = host.json_decode(events[#events - 1].text)
    expect({ events[#events - 1].kind, error_of.code }):equals { "error", 65 }
    expect(error_of.message):matches "^[%w/_.-]*children_spec%.lua:%d+: attempt to index local 'none' %(a nil value%)$"
    expect(error_of.text):matches("^" .. error_of.message:gsub("%p", "%%%0") .. "\n  %d+ |       return none%.field\n")
    local _, other = all_of(children.spawn(function() host.fail("gone", 66) end))
    expect(other.code):equals(66)
  end)
  it("ends with the code of os.exit, whatever it has sent", function()
    local events, ending = all_of(children.spawn(function() os.exit(9) end))
    expect({ said(events), ending.code, ending.signal }):equals { { "exit: 9" }, 9, 0 }
  end)
  it("asks, and is answered or not", function()
    local events = all_of(children.spawn(function() return children.ask("question", "how many") .. children.ask("again", "") end),
      { question = "three\0", again = "" })
    expect(said(events)):equals { "again: ", "question: how many", "result: three\0" }
    local waits = children.spawn(function() return children.ask("question", "ever") end)
    local asked = {}
    repeat for _, event in ipairs(children.wait(.2)) do asked[#asked + 1] = event.kind end until #asked > 0
    children.stop(waits)
    local rest, ending = all_of(waits)
    expect({ asked, said(rest), ending.code, ending.signal, children.signal_name(15) }):equals { { "question" }, {}, 143, 15, "Terminated" }
    expect(children.stop_code()):equals(0)
  end)
  it("is ended at once by a hard stop", function()
    local child = children.spawn(function()
      children.tell("runs", "")
      while true do end  -- luacheck: ignore
    end)
    repeat until #children.wait(.2) > 0
    children.stop(child, true)
    local _, ending = all_of(child)
    expect({ ending.code, ending.signal, children.signal_name(ending.signal) }):equals { 137, 9, "Killed" }
    children.stop(child, true)  -- nobody is left who minds
    children.answer(child, "x")
    children.show_output(child)
  end)
  it("says lines on standard error, of which a long one is cut", function()
    local child = children.spawn(function()
      io.stderr:write("one\n\ntwo\nlast without an end")
      io.stderr:flush()
    end)
    local lines = {}
    for _, event in ipairs((all_of(child))) do
      if event.kind == "line" then lines[#lines + 1] = event.text end
    end
    expect(lines):equals { "one", "", "two", "last without an end" }
    lines = {}
    for _, event in ipairs((all_of(children.spawn(function() io.stderr:write(("y"):rep(100000), "\n") end)))) do
      if event.kind == "line" then lines[#lines + 1] = #event.text end
    end
    local sum = 0
    for _, length in ipairs(lines) do sum = sum + length end
    expect({ sum, lines[1] >= 65536 }):equals { 100000, true }
  end)
  it("has its own memory, and reads nothing", function()
    local mine = 1
    local child = children.spawn(function()
      mine = mine + 1
      return ("%d %s %s"):format(mine, tostring(io.read()), tostring(children.on_terminal()))
    end)
    local events = all_of(child)
    expect({ mine, events[1].text:match "^2 nil " }):equals { 1, "2 nil " }
  end)
  it("is told of with the time that it computed, and leaves no file open", function()
    local function open_files() return #host.list_folder "/proc/self/fd" end
    local before = open_files()
    for _, seconds in ipairs { .2, 0, 0 } do
      local child = children.spawn(function()
        local began = os.clock()
        while os.clock() - began < seconds do end  -- luacheck: ignore
      end)
      local _, ending = all_of(child)
      expect(ending.seconds >= seconds and ending.seconds < 5):is_true()
      children.show_output(child)
    end
    expect(open_files()):equals(before)
  end)
  it("is one of several, each of which is heard", function()
    local ids, results = {}, {}
    for i = 1, 3 do ids[i] = children.spawn(function() return i * 10 end) end
    local ended = 0
    while ended < 3 do
      for _, event in ipairs(children.wait(5)) do
        if event.kind == "result" then results[event.child] = event.text end
        if event.kind == "end" then ended = ended + 1 end
      end
    end
    expect({ results[ids[1]], results[ids[2]], results[ids[3]] }):equals { "10", "20", "30" }
  end)
  it("is waited for no longer than is said", function()
    local child = children.spawn(function() os.execute "sleep 30" end)
    local began = host.monotonic()
    expect(#children.wait(.1)):equals(0)
    local spent = host.monotonic() - began
    expect(spent >= .09 and spent < 10):is_true()
    children.stop(child, true)
    all_of(child)
  end)
  it("takes no store along: one that is let go is closed before, one that is kept is an error", function()
    local folder, stores = os.tmpname(), require "gradus.store"
    os.remove(folder)
    host.mkdirs(folder)
    local path = folder .. "/s.db"
    local store = stores.open(path)
    local run = store:begin { name = "x" }
    expect(function() children.spawn(function() end) end):fails_with(
      "runs of the store (g.runs) are kept outside of run, where processes cannot share them; expected them asked for inside of run, "
      .. "or numbers taken from them")
    run:finish "finished"
    run, store = nil, nil  -- luacheck: ignore
    local events = all_of(children.spawn(function()
      local mine = stores.open(path)
      return tostring(mine:query("SELECT count(*) AS n FROM runs")[1].n)
    end))
    expect(said(events)):equals { "result: 1" }
    expect(#stores.open(path):query "SELECT * FROM runs"):equals(1)
    os.execute("rm -rf " .. folder)
  end)
  it("has functions that give as many values as they say", function()
    local function count(...) return select("#", ...) end
    local child = children.spawn(function()
      return table.concat({ count(children.tell("a", "b")), count(children.ask("q", "")), count(children.inside()),
        count(children.on_terminal()) }, " ")
    end)
    local events = all_of(child, { q = "answer" })
    expect(said(events)):equals { "a: b", "q: ", "result: 0 1 1 1" }
    expect({ count(children.answer(child, "x")), count(children.stop(child)), count(children.show_output(child)), count(children.wait(0)),
      count(children.watch {}), count(children.signal_name(9)), count(children.stop_code()) }):equals { 0, 0, 0, 1, 0, 1, 1 }
    child = children.spawn(function() end)
    expect(count(child)):equals(1)
    all_of(child)
  end)
  it("needs a function", function()
    expect(function() children.spawn "x" end):fails_with "function expected"
    expect(function() children.watch "x" end):fails_with "table expected"
    expect(function() children.wait() end):fails_with "number expected"
  end)
end)

describe("files", function()
  it("that are watched are told when they are saved, in either way", function()
    local folder = os.tmpname()
    os.remove(folder)
    host.mkdirs(folder .. "/real")
    local function save(name)
      local file = io.open(name, "w")
      file:write "x"
      file:close()
    end
    for _, name in ipairs { "/a", "/b", "/real/c" } do save(folder .. name) end
    os.execute(("ln -s real/c %s/link"):format(folder))
    children.watch { folder .. "/a", folder .. "/link" }
    children.watch { folder .. "/b" }
    local function saved()
      local list, deadline = {}, host.monotonic() + 20
      while #list == 0 and host.monotonic() < deadline do
        for _, event in ipairs(children.wait(1)) do list[#list + 1] = { event.kind, event.text, event.child } end
      end
      return list
    end
    save(folder .. "/a")
    expect(saved()):equals { { "saved", folder .. "/a", 0 } }
    save(folder .. "/other")
    os.rename(folder .. "/other", folder .. "/b")
    expect(saved()):equals { { "saved", folder .. "/b", 0 } }
    save(folder .. "/real/c")
    expect(saved()):equals { { "saved", folder .. "/link", 0 } }
    save(folder .. "/nobody's")
    expect(#children.wait(.05)):equals(0)
    expect(function() children.watch { folder .. "/none/x" } end)
      :fails_with(folder .. "/none: cannot be watched: No such file or directory")
    os.execute("rm -rf " .. folder)
  end)
end)
