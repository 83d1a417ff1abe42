-- The book of what run:cached has kept.
local entries = require "gradus.experiment.entries"
local host = require "gradus.host"

local function in_folder(fn)
  local folder = ("%s/gradus-entries-%s"):format(os.getenv "TMPDIR" or "/tmp", host.random_hex(8))
  local task = { name = "teacher", key = ("a1b2"):rep(16), run = { lock = function(_, path)
    expect(path:sub(1, #folder)):equals(folder)
    return { unlock = function() end }
  end } }
  local ok, why = xpcall(fn, host.traceback, function() return entries.open(folder, task) end, folder)
  os.execute("rm -rf '" .. folder .. "'")
  if not ok then error(why, 0) end
end

local function write(path, text)
  local file = assert(io.open(path, "wb"))
  file:write(text or "")
  file:close()
end

-- Adds an entry that says it is the n-th, and its file.
local function add(book, n)
  local path = book:new_path()
  write(path)
  book:add({ reads = { { path = "data.csv", sha256 = tostring(n) } },
    library = { ["nn/layers.lua"] = { whole = "", outside = "", functions = {} } } },
    path)
  return path
end

local function numbers(book)
  local list = {}
  for i, one in ipairs(book.entries) do list[i] = tonumber(one.reads[1].sha256) end
  return list
end

describe("a book of entries", function()
  it("is read as it was written, the newest last, by another process too", function()
    in_folder(function(open)
      local book = open()
      for n = 1, 3 do add(book, n) end
      local other = open()
      other:read()
      expect(numbers(other)):equals { 1, 2, 3 }
      expect(other.entries[1].library["nn/layers.lua"].functions):equals {}
      for _, one in ipairs(other.entries) do assert(host.exists(other:path(one))) end
      add(other, 4)
      add(book, 5)  -- beside what the other has written meanwhile
      expect(numbers(book)):equals { 1, 2, 3, 4, 5 }
    end)
  end)
  it("has at most 64, and the files of the oldest go", function()
    in_folder(function(open)
      local book, paths = open(), {}
      for n = 1, 67 do paths[n] = add(book, n) end
      local list = numbers(book)
      expect({ #list, list[1], list[64] }):equals { 64, 4, 67 }
      for n, path in ipairs(paths) do expect(host.exists(path)):equals(n > 3) end
    end)
  end)
  it("forgets what somebody has taken away", function()
    in_folder(function(open)
      local book = open()
      local paths = { add(book, 1), add(book, 2), add(book, 3) }
      os.remove(paths[1])
      os.remove(paths[3])
      add(book, 4)
      expect(numbers(book)):equals { 2, 4 }
    end)
  end)
  it("that is not whole has none", function()
    in_folder(function(open, folder)
      local book = open()
      add(book, 1)
      local file = ("%s/teacher-%s.json"):format(folder, ("a1b2"):rep(8))
      assert(host.exists(file))
      for _, text in ipairs { "", "{", "[]", "7", '{"entries": 3}' } do
        write(file, text)
        book:read()
        expect(book.entries):equals {}
      end
    end)
  end)
  it("of which each key has its own", function()
    in_folder(function(open, folder)
      local book = open()
      expect(book:new_path():sub(1, #folder + 1)):equals(folder .. "/")
      expect(book:new_path()):differs_from(book:new_path())
      expect(book:new_path()):matches("/teacher%-" .. ("a1b2"):rep(8) .. "%-%x+%.safetensors$")
    end)
  end)
end)

describe("a book's files", function()
  it("have names of eight random digits; locks those of the book, or of what is locked", function()
    in_folder(function(open, folder)
      local book, paths = open(), {}
      local stem = folder .. "/teacher-" .. ("a1b2"):rep(8)
      expect(#book:new_path()):equals(#(stem .. "-01234567.safetensors"))
      book.task.run.lock = function(_, path, name)
        paths[#paths + 1] = { path, name }
        return "the lock"
      end
      expect({ book:lock(), book:lock "what" }):equals { "the lock", "the lock" }
      expect(paths):equals { { stem .. ".lock", "teacher" }, { ("%s-%s.lock"):format(stem, host.sha256 "what":sub(1, 16)), "teacher" } }
    end)
  end)
  it("say which functions of the library were run: some, or none as a list of none", function()
    in_folder(function(open)
      local book = open()
      local path = book:new_path()
      write(path)
      local one = { whole = "", outside = "", functions = { { name = "f", sha256 = "x" } } }
      book:add({ reads = {}, library = { a = one, b = { whole = "", outside = "", functions = {} } } }, path)
      local other = open()
      other:read()
      expect(other.entries[1].library):equals { a = one, b = { whole = "", outside = "", functions = {} } }
      expect(host.json_encode(other.entries[1].library.b.functions)):equals(host.json_encode {})
    end)
  end)
  it("are forgotten whichever of them are gone", function()
    in_folder(function(open)
      for gone = 1, 4 do
        local book, left = open(), {}
        for n = 1, 4 do
          local path = add(book, n)
          if n == gone then os.remove(path) else left[#left + 1] = n end
        end
        add(book, 5)
        left[4] = 5
        expect({ gone, numbers(book) }):equals { gone, left }
        for _, one in ipairs(book.entries) do os.remove(book:path(one)) end
      end
    end)
  end)
  it("are forgotten side by side, under a lock that is given back", function()
    in_folder(function(open)
      local book, locked, unlocked = open(), 0, 0
      book.task.run.lock = function()
        locked = locked + 1
        return { unlock = function() unlocked = unlocked + 1 end }
      end
      for n = 1, 4 do
        local path = add(book, n)
        if n > 1 then os.remove(path) end
      end
      expect({ locked, unlocked }):equals { 4, 4 }
      local paths = { add(book, 5), add(book, 6), add(book, 7) }
      os.remove(paths[1])
      os.remove(paths[2])
      add(book, 8)
      expect(numbers(book)):equals { 1, 7, 8 }
    end)
  end)
end)
