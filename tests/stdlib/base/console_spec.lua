local console = require "gradus.base.console"

describe("the console", function()
  it("writes durations as people read them", function()
    local cases = { [0] = "0.0s", [.44] = "0.4s", [9.96] = "10.0s", [12.7] = "12s", [59.99] = "59s", [60] = "1m 00s", [185] = "3m 05s",
      [3599] = "59m 59s", [3600] = "1h 00m", [7800] = "2h 10m", [math.huge] = "?" }
    for seconds, text in pairs(cases) do expect(console.duration(seconds)):equals(text) end
    expect(console.duration(0 / 0)):equals "?"
  end)
  it("writes counts shortly", function()
    local cases = { [0] = "0", [950] = "950", [12345] = "12.3k", [4.5e6] = "4.5M", [2e9] = "2.0G" }
    for n, text in pairs(cases) do expect(console.count(n)):equals(text) end
  end)
  it("aligns tables, text to the left and numbers to the right, by letters and not by bytes", function()
    local text = console.table({ "strategy", "runs", "acc" }, { { "one_shot", "3", "90.1 ± 0.2" }, { "über", "12", "–" } }, 1)
    expect(text):equals(table.concat({
      "  strategy  runs         acc",
      "  ────────  ────  ──────────",
      "  one_shot     3  90.1 ± 0.2",
      "  über        12           –" }, "\n"))
  end)
  it("says what a training line says", function()
    local row, knobs = { ["train/loss"] = .52344 }, { temperature = 4 }
    local parts = console.training_parts(100, knobs, row)
    local s = { step = 50, stage = "easy", samples = 3200, seconds = 2, progress = .5, series = { ["val/acc"] = { { value = .9 } } } }
    expect(parts(s, 2)):equals { "step 50/100", "loss 0.5234", "val 90.0%", "easy", "T 4.0", "1.6k samples/s", "2.0s left" }
    s.stage, s.progress, s.series = "all", 1, {}
    expect(console.training_parts(nil, {}, {})(s, 2)):equals { "step 50", "1.6k samples/s" }
  end)
end)
