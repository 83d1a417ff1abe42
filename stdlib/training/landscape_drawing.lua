--- Landscapes as a picture: shades for a terminal, SVG for a paper. From the lowest loss to the highest, in equal steps of its logarithm.
local drawing = {}

local SHADES = { " ", "·", "░", "▒", "▓", "█" }
-- Dark to bright, told apart by the colour-blind too (viridis).
local COLOURS = { { 68, 1, 84 }, { 59, 82, 139 }, { 33, 145, 140 }, { 94, 201, 98 }, { 253, 231, 37 } }

--- The lowest and the highest finite value, and what share of the way between them one is; nil for NaN.
---@param all number[][][]  of all pictures that share a scale
---@return number low
---@return number high
---@return fun(value: number): number?
function drawing.scale(all)
  local low, high = math.huge, -math.huge
  for _, rows in ipairs(all) do
    for _, row in ipairs(rows) do
      for _, v in ipairs(row) do
        if v == v and math.abs(v) < math.huge then low, high = math.min(low, v), math.max(high, v) end
      end
    end
  end
  local function place(v) return math.log(v - low + 1e-3 * math.max(high - low, 1e-12)) end
  return low, high, function(v)
    if v ~= v then return nil end
    return (place(math.max(low, math.min(v, high))) - place(low)) / math.max(place(high) - place(low), 1e-12)
  end
end

--- Lines of two columns a value, the last row first.
---@param rows number[][]
---@param over? table<number, table<number, string>>  row -> column -> a letter that is drawn over it
---@return string[]
function drawing.lines(rows, over)
  local _, _, share = drawing.scale { rows }
  local out = {}
  for i = #rows, 1, -1 do
    local line = {}
    for j, v in ipairs(rows[i]) do
      local part = share(v)
      local shade = part and SHADES[math.min(#SHADES, 1 + math.floor(part * #SHADES))] or "?"
      local letter = over and over[i] and over[i][j]
      line[j] = letter and letter .. shade or shade:rep(2)
    end
    out[#out + 1] = table.concat(line)
  end
  return out
end

local function colour(share)
  if not share then return "#999" end
  local at = share * (#COLOURS - 1)
  local i = math.min(#COLOURS - 1, 1 + math.floor(at))
  local part, rgb = at - (i - 1), {}
  for k = 1, 3 do rgb[k] = math.floor(COLOURS[i][k] + part * (COLOURS[i + 1][k] - COLOURS[i][k]) + .5) end
  return ("#%02x%02x%02x"):format(rgb[1], rgb[2], rgb[3])
end

local function escaped(text)
  return (text:gsub("[&<>\"]", { ["&"] = "&amp;", ["<"] = "&lt;", [">"] = "&gt;", ['"'] = "&quot;" }):gsub("[%z\1-\31]", " "))
end

local SIDE, LEFT, TOP, RIGHT, BOTTOM = 320, 66, 34, 18, 42  -- of a panel, in points
local ACROSS, LEGEND, LEAST = 3, 48, 620                   -- panels beside each other; below them; the narrowest picture

local function text_at(x, y, anchor, text, more)
  return ('<text x="%.1f" y="%.1f" text-anchor="%s"%s>%s</text>'):format(x, y, anchor, more or "", escaped(text))
end

local OUTLINED = ' paint-order="stroke" stroke="#fff" stroke-width="3" fill="#1d2330" font-weight="600"'

local function panel_svg(panel, share)
  local x, y, rows = panel.x, panel.y, panel.loss
  local wide, tall = SIDE / #x, SIDE / #y
  local out = { text_at(LEFT, TOP - 12, "start", panel.title, ' font-weight="600" fill="#1d2330"') }
  local function at_x(v) return LEFT + ((v - x[1]) / (x[#x] - x[1]) * (#x - 1) + .5) * wide end
  local function at_y(v) return TOP + SIDE - ((v - y[1]) / (y[#y] - y[1]) * (#y - 1) + .5) * tall end
  for i, row in ipairs(rows) do
    for j, v in ipairs(row) do  -- a bit wider, so that no gap shows
      out[#out + 1] = ('<rect x="%.1f" y="%.1f" width="%.1f" height="%.1f" fill="%s" shape-rendering="crispEdges"/>')
        :format(LEFT + (j - 1) * wide, TOP + SIDE - i * tall, wide + .4, tall + .4, colour(share(v)))
    end
  end
  for k = 0, 2 do
    local i, j = 1 + math.floor(k / 2 * (#y - 1)), 1 + math.floor(k / 2 * (#x - 1))
    out[#out + 1] = text_at(LEFT - 6, at_y(y[i]) + 4, "end", ("%.2g"):format(y[i]))
    out[#out + 1] = text_at(at_x(x[j]), TOP + SIDE + 15, "middle", ("%.2g"):format(x[j]))
  end
  if panel.across then out[#out + 1] = text_at(LEFT + SIDE / 2, TOP + SIDE + 31, "middle", panel.across) end
  if panel.up then
    out[#out + 1] = text_at(0, 0, "middle", panel.up, (' transform="translate(%.1f,%.1f) rotate(-90)"'):format(13, TOP + SIDE / 2))
  end
  local points = {}
  for i, p in ipairs(panel.path or {}) do points[i] = ("%.1f,%.1f"):format(at_x(p.x), at_y(p.y)) end
  if #points > 1 then
    for _, style in ipairs { 'stroke="#1d2330" stroke-width="3.6"', 'stroke="#fff" stroke-width="1.8"' } do
      out[#out + 1] = ('<polyline points="%s" fill="none" stroke-linejoin="round" %s/>'):format(table.concat(points, " "), style)
    end
  end
  for _, p in ipairs(panel.path or {}) do
    out[#out + 1] = ('<circle cx="%.1f" cy="%.1f" r="%.1f" fill="%s" stroke="#1d2330"><title>%s</title></circle>')
      :format(at_x(p.x), at_y(p.y), p.letter and 5 or 2.4, p.letter and "#fff" or "#d9822b", escaped(p.words or ""))
    if p.letter then out[#out + 1] = text_at(at_x(p.x) + 8, at_y(p.y) - 6, "start", p.letter, OUTLINED) end
  end
  return table.concat(out, "\n")
end

--- Panels beside and below each other, on one scale of colours.
---@param panels {title: string, x: number[], y: number[], loss: number[][], across?: string, up?: string, path?: table[]}[]
---@param note string  below
---@return string
function drawing.svg(panels, note)
  local all, each, tall = {}, LEFT + SIDE + RIGHT, TOP + SIDE + BOTTOM
  for i, panel in ipairs(panels) do all[i] = panel.loss end
  local low, high, share = drawing.scale(all)
  local rows = math.ceil(#panels / ACROSS)
  local width, height = math.max(LEAST, math.min(ACROSS, #panels) * each), rows * tall + LEGEND
  local out = { ('<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" width="%d" height="%d" '
    .. 'font-family="Inter, \'Helvetica Neue\', Arial, sans-serif" font-size="11.5" fill="#5c6470">'):format(width, height, width, height),
    '<rect width="100%" height="100%" fill="#fff"/>' }
  for i, panel in ipairs(panels) do
    local left, top = (i - 1) % ACROSS * each, math.floor((i - 1) / ACROSS) * tall
    out[#out + 1] = ('<g transform="translate(%d,%d)">\n%s\n</g>'):format(left, top, panel_svg(panel, share))
  end
  local bar, y = 160, rows * tall
  for i = 0, 39 do
    out[#out + 1] = ('<rect x="%.1f" y="%d" width="4.4" height="9" fill="%s"/>'):format(LEFT + i * bar / 40, y, colour((i + .5) / 40))
  end
  out[#out + 1] = text_at(LEFT, y + 23, "start", ("%.4g"):format(low))
  out[#out + 1] = text_at(LEFT + bar, y + 23, "end", ("%.4g"):format(high))
  out[#out + 1] = text_at(LEFT + bar + 12, y + 9, "start", "loss, logarithmic from the lowest")
  out[#out + 1] = text_at(LEFT, y + 40, "start", note)
  out[#out + 1] = "</svg>\n"
  return table.concat(out, "\n")
end

return drawing
