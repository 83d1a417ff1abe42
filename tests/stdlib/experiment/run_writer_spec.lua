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
  it("of a run that goes on has the new values of what was set, and only those", function()
    local amended, asked
    local store = { resume = function(_, ...)
      asked = { ... }
      return { amend = function(_, what) amended = what end }
    end }
    local flat = { lr = .5, width = 8, norm = "layer" }
    run_writer.begin({ store = store, resumes = 7, goal = { point = { step = 3 } }, flat = flat, set = { lr = .5 } }, {})
    expect({ asked, #amended.params, amended.params[1].key, amended.params[1].value }):equals { { 7, { step = 3 } }, 1, "lr", .5 }
    for _, set in ipairs { false, {} } do
      amended = nil
      run_writer.begin({ store = store, resumes = 7, flat = flat, set = set or nil }, {})
      expect({ asked, amended }):equals { { 7, {} } }
    end
  end)
  it("takes the place of one where a run is done again", function()
    local again = {}
    expect(run_writer.begin({ again = again }, {}) == again):is_true()
  end)
end)
