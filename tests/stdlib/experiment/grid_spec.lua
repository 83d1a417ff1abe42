-- What is said of a run of a grid that did not succeed.
local grid = require "gradus.experiment.grid"

describe("why a run of a grid came to nothing", function()
  for _, case in ipairs {
    { { hung = true, signal = 9, exited = true, code = 1 }, "no sign of life; ended" },
    { { signal = 9, exited = true, code = 1 }, "ended by a signal: Killed" },
    { { signal = 0, exited = true, code = 7, error = { message = "no" } }, "os.exit(7)" },
    { { signal = 0, code = 65, error = { message = "boom" } }, "boom" },
    { { signal = 0, code = 70 }, "ended with code 70" },
  } do
    it("is " .. case[2], function() expect(grid.why(case[1])):equals(case[2]) end)
  end
end)
