local files = require "gradus.base.files"

local pipe = io.popen("mktemp -d", "r")
local folder = pipe:read "*l"
pipe:close()
local path = folder .. "/one"

describe("files", function()
  after_all(function() os.execute("rm -rf '" .. folder .. "'") end)

  it("hold what was written, byte for byte", function()
    for _, text in ipairs { "", "a\nb", "\0\r\n\255", ("x"):rep(2 ^ 20) } do
      expect(files.write(path, text)):equals(true)
      expect(files.read(path) == text):is_true()
      expect(files.replace(path, text .. "!")):equals(true)
      expect(files.read(path) == text .. "!"):is_true()
    end
  end)
  it("that cannot be read or written tell why", function()
    for _, fn in ipairs { files.read, files.write, files.replace } do
      local done, why = fn(folder .. "/none/one", "x")
      expect(done):equals(nil)
      expect(why):matches "none/one.*No such file or directory"
    end
    local text, why = files.read(folder)
    expect(text):equals(nil)
    expect(why):matches "Is a directory"
  end)
  it("on a full disk are told of, small ones when they are closed", function()
    for _, size in ipairs { 1, 2 ^ 20 } do
      local done, why = files.write("/dev/full", ("x"):rep(size))
      expect(done):equals(nil)
      expect(why):matches "No space left on device"
    end
  end)
  it("that cannot be replaced stay as they were, and nothing is left beside them", function()
    os.execute("mkdir -p '" .. folder .. "/taken/inner'")
    local done, why = files.replace(folder .. "/taken", "x")
    expect(done):equals(nil)
    expect(why):matches "directory"
    expect(files.read(folder .. "/taken.part")):equals(nil)
    os.execute("ln -s /dev/full '" .. path .. ".part'")
    files.write(path, "before")
    expect((select(2, files.replace(path, "after")))):matches "No space left on device"
    expect(files.read(path)):equals "before"
    expect(files.read(path .. ".part")):equals(nil)
  end)
end)
