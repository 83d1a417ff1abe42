local format = require "gradus.experiment.format"

describe("a column's format", function()
  it("is one conversion of a number", function()
    for _, pattern in ipairs { "%.2f", "%d", "%5.1f%%", "%+.3e", "acc %.1f!", "%s", "%%%.1f", "%-8.2f" } do
      expect(format.problem(pattern)):equals(nil)
    end
    for _, pattern in ipairs { "%y", "%", "accuracy", "%f %f", "%%", "%c", "%q", "%.2f %", "%1234567f", "", 5, {}, false } do
      expect(format.problem(pattern)):matches "one conversion of a number"
    end
  end)
  it("multiplies by 100 where it says %", function()
    expect(format.apply("%.1f%%", .912)):equals "91.2%"
    expect(format.apply("%.1f", .912)):equals "0.9"
  end)
  it("is shown with a sign, and without", function()
    local cases = { { "%.2f", "%+.2f", "%.2f" }, { "%+.1f%%", "%+.1f%%", "%.1f%%" }, { "%%%5.1f", "%%%+5.1f", "%%%5.1f" },
      { "acc %d", "acc %+d", "acc %d" }, { "%s", "%+g", "%g" } }
    for _, case in ipairs(cases) do
      expect({ format.signed(case[1], true), format.signed(case[1], false) }):equals { case[2], case[3] }
    end
  end)
end)

describe("mean and spread without a format", function()
  local cases = {
    { .9214, nil, "0.9214" }, { .9214, 0, "0.9214 ± 0" }, { .9214, .0131, "0.921 ± 0.013" }, { 253.2, 66.4, "253 ± 66" },
    { 1e12, 3e10, "1e+12 ± 3e+10" }, { .9214, 3e-9, "0.9214 ± 3e-09" }, { 5, 1 / 0, "5 ± inf" }, { 0 / 0, 0 / 0, "nan ± nan" },
    { -.5, .25, "-0.50 ± 0.25" }, { 0, 1e-5, "0.000000 ± 0.000010" }, { 3, 1.2, "3.0 ± 1.2" },
  }
  for _, case in ipairs(cases) do
    it(("is %s"):format(case[3]), function() expect((format.mean(case[1], case[2]):gsub("%-nan", "nan"))):equals(case[3]) end)
  end
  it("never has a row of zeros", function()
    for power = -14, 14 do
      for _, mean in ipairs { .9214, 0, 1, 1e6, 123.456 } do
        local text = format.mean(mean, 2 * 10 ^ power)
        expect(text:match "±%s*0%.?0*$"):equals(nil)
        expect(#text <= 24):is_true()
      end
    end
  end)
end)

describe("mean and spread of many digits", function()
  local cases = {
    { 99999, .0012, "99999.0000 ± 0.0012" }, { 100000, .0012, "1e+05 ± 0.0012" }, { -123456, .0012, "-1.235e+05 ± 0.0012" },
    { 999999999, 50, "999999999 ± 50" }, { 2e9, 50, "2e+09 ± 50" }, { 0, 2e9, "0 ± 2e+09" }, { 0, 2e8, "0 ± 200000000" },
    { 0, 9e-6, "0 ± 9e-06" }, { 12345, 1.5e-3, "12345.0000 ± 0.0015" }, { .5, 9.6, "0.5 ± 9.6" }, { 5, 10, "5 ± 10" },
  }
  it("has nine of them and six decimals at most", function()
    for _, case in ipairs(cases) do expect(format.mean(case[1], case[2])):equals(case[3]) end
  end)
end)
