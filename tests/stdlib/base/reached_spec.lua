-- Which functions of the library ran, and whether they are still what they were.
local g = require "gradus"
local host = require "gradus.host"
local reached = require "gradus.base.reached"

local function forward(layer, x) return function() layer(x) end end
local linear, x = g.nn.Linear(3, 2), g.ones(1, 3)
local norm, image = g.nn.BatchNorm2d(3), g.ones(2, 3, 1, 1)

local function copy(summary)
  local result = {}
  for file, one in pairs(summary) do result[file] = { whole = one.whole, outside = one.outside, functions = { unpack(one.functions) } } end
  return result
end

-- What a process finds of the summary in whose library nn/layers.lua has this text.
local function changed_with(text, summary)
  local library_text = host.library_text
  host.library_text = function(file) return file == "nn/layers.lua" and text or library_text(file) end
  package.loaded["gradus.base.reached"] = nil
  local ok, found = pcall(function() return require("gradus.base.reached").changed(summary) end)
  host.library_text, package.loaded["gradus.base.reached"] = library_text, reached
  if not ok then error(found, 0) end
  return found
end

describe("what ran of the library", function()
  it("is the functions that were called, and none of another file's", function()
    local summary = reached.by(forward(linear, x))
    expect(summary["nn/layers.lua"] ~= nil and summary["nn/class.lua"] ~= nil):is_true()
    expect(#summary["nn/layers.lua"].functions):equals(2)  -- forward, and what made the class
    for _, file in ipairs { "training/distill.lua", "nn/attention.lua", "base/console.lua" } do expect(summary[file]):equals(nil) end
  end)
  it("is nothing of what only calls itself a file of the library", function()
    expect(reached.by(assert(loadstring("return 1", "@stdlib/nn/none.lua")))):equals {}
  end)
  it("is the same at the next call, compiled or not", function()
    local first = reached.by(forward(linear, x))
    for _ = 1, 500 do linear(x) end
    expect(reached.by(forward(linear, x))):equals(first)
    expect(reached.by(forward(norm, image))):differs_from(first)
  end)
  it("is seen from within and from without", function()
    local inner
    local outer = reached.by(function()
      linear(x)
      inner = reached.by(forward(norm, image))
    end)
    for file, one in pairs(inner) do
      local has = {}
      for _, hash in ipairs(outer[file].functions) do has[hash] = true end
      for _, hash in ipairs(one.functions) do expect(has[hash]):is_true() end
    end
    expect(outer["nn/layers.lua"].functions):differs_from(inner["nn/layers.lua"].functions)
  end)
  it("has changed where a function that ran has, or what stands outside of functions", function()
    local summary = reached.by(forward(linear, x))
    expect(reached.changed(summary)):equals(nil)
    local another = copy(summary)
    another["nn/layers.lua"].whole = "another"  -- another function of the file, a comment
    expect(reached.changed(another)):equals(nil)
    another["nn/layers.lua"].functions[1] = "another"
    expect(reached.changed(another)):equals "nn/layers.lua"
    another = copy(summary)
    another["nn/class.lua"].whole, another["nn/class.lua"].outside = "another", "another"
    expect(reached.changed(another)):equals "nn/class.lua"
    another = copy(summary)
    another["nn/gone.lua"] = { whole = "", outside = "", functions = {} }
    expect(reached.changed(another)):equals "nn/gone.lua"
  end)
  it("has not changed where comments and empty lines have", function()
    local summary, text = reached.by(forward(linear, x)), host.library_text "nn/layers.lua"

    local function changed(other) return changed_with(other, summary) end
    expect(changed(text)):equals(nil)
    for _, more in ipairs { "\n", "\n\n  \n", "\n  -- said\n", "\n--- said\n\n" } do
      expect(changed((text:gsub("\n", more .. "\n")))):equals(nil)
    end
    expect(changed("local more = 1\n" .. text)):equals "nn/layers.lua"
    expect(changed((text:gsub("ops%.linear", "ops.linear_of_another")))):equals "nn/layers.lua"
  end)
  it("is put together", function()
    local a, b = reached.by(forward(linear, x)), reached.by(forward(norm, image))
    local joined = copy(a)
    reached.join(joined, b)
    expect(#joined["nn/layers.lua"].functions > #a["nn/layers.lua"].functions):is_true()
    expect(reached.changed(joined)):equals(nil)
  end)
end)

describe("a file's bytes", function()
  it("have a hash and a size", function()
    require("support").with_file("abc", function(path)
      expect({ host.hash_file(path) }):equals { host.sha256 "abc", 3 }
    end)
    require("support").with_file("", function(path) expect({ host.hash_file(path) }):equals { host.sha256 "", 0 } end)
    local hash, why = host.hash_file "/no/such/file"
    expect({ hash == nil, why:find "/no/such/file: " ~= nil }):equals { true, true }
    expect((host.hash_file "/tmp")):equals(nil)
  end)
end)

describe("a function that did not run", function()
  it("may change within; its first and its last line are of the one around it, which ran", function()
    local summary, text = reached.by(forward(linear, x)), host.library_text "nn/layers.lua"
    local function changed(from, to)
      local other, count = text:gsub(from, to)
      expect(count):equals(1)
      return changed_with(other, summary)
    end
    expect(changed('%("in_features=%%d', '("inputs=%%%%d')):equals(nil)
    expect(changed("function Linear:extra_repr%(%)", "function Linear:extra_repr(more)")):equals "nn/layers.lua"
    expect(changed("(self%.has_bias%)%)\n  end)\n", "%1 local more\n")):equals "nn/layers.lua"
  end)
end)
