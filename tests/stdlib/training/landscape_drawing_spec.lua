-- Landscapes as shades for a terminal and as SVG: every place and colour of small ones.
local drawing = require "gradus.training.landscape_drawing"

local INF, NAN = 1 / 0, 0 / 0

describe("the scale of a landscape", function()
  it("is logarithmic from the lowest to the highest finite value of all pictures", function()
    local low, high, share = drawing.scale { { { 3, 1 }, { 2, INF } }, { { NAN, 11 }, { -INF, 5 } } }
    expect({ low, high }):equals { 1, 11 }
    expect({ share(1), share(11) }):near { 0, 1 }
    -- ln((v - 1 + .01) / .01) / ln(10.01 / .01)
    expect({ share(2), share(5) }):near({ math.log(101) / math.log(1001), math.log(401) / math.log(1001) }, 1e-12)
    expect({ share(0), share(-INF), share(12), share(INF) }):near { 0, 0, 1, 1 }
    expect(share(NAN)):equals(nil)
  end)
  it("of one value has nothing between", function()
    local low, high, share = drawing.scale { { { 4 } } }
    expect({ low, high, share(4) }):equals { 4, 4, 0 }
  end)
end)

describe("a landscape's lines", function()
  it("have the last row first, a shade for each sixth, and ? for what is no number", function()
    -- Shares of 0, just above 1/6, 2/6, …: 1e-3 (1001^s - 1) of the whole.
    local row = {}
    for k = 0, 5 do row[k + 1] = 1e-3 * (1001 ^ ((k + .01) / 6) - 1) end
    row[1], row[7], row[8] = 0, 1, NAN
    expect(drawing.lines { row, { 0, INF } }):equals { "  ██", "  ··░░▒▒▓▓████??" }
  end)
  it("have letters over the left half of a shade", function()
    expect(drawing.lines({ { 0, 1 }, { 1, NAN } }, { [1] = { [2] = "S" }, [2] = { [2] = "E" } })):equals { "██E?", "  S█" }
    expect(drawing.lines({ { 0, 1 } }, { [2] = { [1] = "S" } })):equals { "  ██" }
  end)
end)

describe("a landscape as SVG", function()
  local path = { { x = 0, y = 10, letter = "S", words = "the <beginning>" }, { x = .5, y = 20, words = "on" },
    { x = 1, y = 20, letter = "2" } }
  local one = { title = 'a "b" & c\1', x = { 0, 1 }, y = { 10, 20, 30 }, loss = { { 0, 1 }, { .25, .5 }, { NAN, .125 } },
    across = "first", up = "second", path = path }
  local plain = { title = "plain", x = { -1, 0, 1 }, y = { -1, 0, 1 }, loss = { { 1, 1, 1 }, { 1, 0, 1 }, { 1, 1, 1 } } }

  -- The picture without its legend's 40 colours.
  local function picture(panels)
    local text, bars = drawing.svg(panels, "a note"):gsub('<rect x="[%d.]+" y="%d+" width="4.4" height="9" fill="#%x+"/>\n', "")
    expect(bars):equals(40)
    return text
  end

  local function kept(name)
    local file = assert(io.open("tests/stdlib/training/data/" .. name .. ".svg"))
    local text = file:read "*a"
    file:close()
    return text
  end

  it("has one panel with its cells, axes, way and letters", function() expect(picture { one }):equals(kept "landscape_way") end)
  it("has no axes' words and no way where none are given", function() expect(picture { plain }):equals(kept "landscape_plain") end)
  it("has three panels beside each other, the next below", function()
    local text = picture { plain, plain, plain, plain }
    local places = {}
    for x, y in text:gmatch 'translate%((%d+),(%d+)%)">' do places[#places + 1] = x .. " " .. y end
    expect(places):equals { "0 0", "404 0", "808 0", "0 396" }
    expect(text):matches 'viewBox="0 0 1212 840" width="1212" height="840"'
    expect(picture { plain, plain }):matches 'viewBox="0 0 808 444" width="808" height="444"'
  end)
  it("has a legend from dark to bright", function()
    local bars = {}
    for x, y, colour in drawing.svg({ plain }, ""):gmatch '<rect x="([%d.]+)" y="(%d+)" width="4.4" height="9" fill="(#%x+)"/>' do
      bars[#bars + 1] = ("%s %s %s"):format(x, y, colour)
    end
    expect({ bars[1], bars[10], bars[11], bars[25], bars[40] }):equals {
      "66.0 396 #440557", "102.0 396 #3b4e88", "106.0 396 #3a558b", "162.0 396 #3caa79", "222.0 396 #f5e628" }
  end)
  it("draws a line of two points, none of a single one", function()
    local text = picture { setmetatable({ path = { path[1] } }, { __index = plain }) }
    assert(not text:find "polyline" and text:find "<circle")
    text = picture { setmetatable({ path = { path[1], path[2] } }, { __index = plain }) }
    assert(text:find "polyline")
  end)
end)
