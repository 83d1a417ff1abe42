-- Writers that keep nothing, or nothing but a run's end.
local run_writer = require "gradus.experiment.run_writer"

describe("a writer that keeps nothing", function()
  it("takes whatever is written, and answers 0", function()
    local own = { id = 3, key = function(_, name) return name .. "!" end }
    local writer = run_writer.silent(own)
    expect({ writer.id, writer:key "a", writer:log(1, 2), writer:event(), writer:finish() }):equals { 3, "a!", 0, 0, 0 }
    expect(run_writer.silent():finish()):equals(0)
  end)
  it("but a run's end hands that on", function()
    local done = {}
    local inner = { id = 3, uid = "u", folder = "f", other = 5 }
    for _, name in ipairs { "key", "finish", "flush", "point", "log" } do
      inner[name] = function(self, ...)
        done[#done + 1] = { name, self == inner, ... }
        return name
      end
    end
    local writer = run_writer.muted(inner)
    expect({ writer.id, writer.uid, writer.folder }):equals { 3, "u", "f" }
    expect({ writer:key(1, 2), writer:finish "x", writer:flush(), writer:point(4), writer:log(7), writer:event() })
      :equals { "key", "finish", "flush", "point", 0, 0 }
    expect(done):equals { { "key", true, 1, 2 }, { "finish", true, "x" }, { "flush", true }, { "point", true, 4 } }
  end)
  it("takes the place of one where a run is done again", function()
    local again = {}
    expect(run_writer.begin({ again = again }, {}) == again):is_true()
  end)
end)
