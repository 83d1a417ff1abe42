-- The way of weights on the plane that holds most of it.
local g = require "gradus"
local support = require "support"
local trajectory = require "gradus.training.trajectory"
local drawing = require "gradus.training.landscape_drawing"
local copy = require "gradus.base.copy"
local nn = g.nn

-- States of a model whose two filters [2, 3] are moved by a and b along fixed directions from its own weights.
local function states_of(model, moves)
  local own, states = copy(model:state_dict()), {}
  for i, move in ipairs(moves) do
    states[i] = copy(own)
    states[i].weight = own.weight + g.tensor { { move[1], 0, 0 }, { 0, move[2], 0 } }
  end
  return states, own
end

local function line()
  local model = nn.Linear(3, 2)
  g.no_grad(function()
    model.weight:copy_(g.tensor { { 0, 3, 4 }, { 3, 0, 4 } })
    model.bias:zero_()
  end)
  local x = g.tensor { { 1, 0, 0 }, { 0, 1, 0 }, { 0, 0, 1 } }
  return model, g.data.tensors(x, g.tensor { { 0, 3 }, { 3, 0 }, { 4, 4 } })
end

describe("the way of weights", function()
  it("lies on its plane with the losses that it has", function()
    local model, d = line()
    local states, own = states_of(model, { { 4, 1 }, { 2, 1.5 }, { 1, .5 }, { 0, 0 } })
    local found = trajectory(model, d, states, { points = 5 })
    expect(model:state_dict().weight:eq(own.weight):all():item()):equals(true)
    expect(found.share[1] + found.share[2]):near(1, 1e-6)  -- two numbers move: nothing is left out
    expect(found.share[1] > found.share[2]):equals(true)
    expect(found.x[1] < 0):equals(true)
    expect(found.x[4]):near(0, 1e-9)
    expect(found.y[4]):near(0, 1e-9)
    for i, one in ipairs(found.own) do  -- squared errors of three rows and two outputs
      local a, b = ({ 4, 2, 1, 0 })[i], ({ 1, 1.5, .5, 0 })[i]
      expect(one.loss):near((a * a + b * b) / 6, 1e-5)
    end
    -- Distances on the plane are those of the filters over their norms, in the mean over the two filters.
    local norms = { 0, 0 }
    for _, state in ipairs(states) do
      for f = 1, 2 do norms[f] = norms[f] + state.weight[f - 1]:norm():item() ^ 2 / 4 end
    end
    for i, move in ipairs { { 4, 1 }, { 2, 1.5 }, { 1, .5 } } do
      expect(found.x[i] ^ 2 + found.y[i] ^ 2):near((move[1] ^ 2 / norms[1] + move[2] ^ 2 / norms[2]) / 2, 1e-6)
    end
    expect(#found.at_x):equals(5)
    expect(found.at_x[1] < math.min(unpack(found.x)) and found.at_x[5] > math.max(unpack(found.x))):equals(true)
    expect(found.at_y[1] < math.min(unpack(found.y)) and found.at_y[5] > math.max(unpack(found.y))):equals(true)
  end)

  it("begins on the left and bends upwards, whatever its form", function()
    local model, d = line()
    for seed = 1, 12 do
      local moves = g.randn({ 5, 2 }, { generator = g.generator(seed) }):totable()
      moves[5] = { 0, 0 }
      local found = trajectory(model, d, (states_of(model, moves)), { points = 3 })
      expect({ found.x[1] < 0, math.max(unpack(found.y)) >= -math.min(unpack(found.y)) }):equals { true, true }
    end
  end)

  it("measures each filter by its own norm", function()
    local model, d = line()
    local norms = {}
    for _, factor in ipairs { 1, 10 } do  -- the second filter and its moves ten times as large: the same way
      local states = states_of(model, { { 4, 1 }, { 0, 0 } })
      for _, state in ipairs(states) do state.weight[1]:mul_(factor) end
      local found = trajectory(model, d, states, { points = 3 })
      norms[#norms + 1] = found.x[1]
    end
    expect(norms[1]):near(norms[2], 1e-5)
  end)

  it("has losses on the plane that are those of the weights there", function()
    local model, d = line()
    local states = states_of(model, { { 4, 0 }, { 0, 0 } })  -- a way along one line: the second direction is none
    local found = trajectory(model, d, states, { points = 3 })
    expect(found.share[2]):near(0, 1e-9)
    -- Along the first direction the loss is a parabola with its lowest point at the end, and that of the beginning at its place.
    for j, a in ipairs(found.at_x) do expect(found.loss[2][j]):near(16 / 6 * (a / found.x[1]) ^ 2, 1e-4) end
    for i = 1, 3 do expect(found.loss[i][1]):near(found.loss[2][1], 1e-6) end
  end)

  it("stands still, has zeros, and fails without a trace", function()
    local model, d = line()
    local still = trajectory(model, d, states_of(model, { { 0, 0 }, { 0, 0 } }), { points = 3 })
    expect(still.share):equals { 0, 0 }
    expect(still.loss[2][2]):near(0, 1e-9)
    local states = states_of(model, { { 4, 1 }, { 0, 0 } })
    for _, state in ipairs(states) do state.weight[0]:zero_() end
    expect(trajectory(model, d, states, { points = 3 }).x[1] < 0):equals(true)
    local before = support.weights(model)
    expect(function() trajectory(model, g.data.digits():first(8), states, { points = 3 }) end):fails_with ""
    expect(#support.weights(model)):equals(#before)
  end)
end)

describe("the plane of a way", function()
  local function of(moves, points, tell)
    local model, d = line()
    return trajectory(model, d, states_of(model, moves), { points = points or 5, tell = tell })
  end
  it("has a fifth of its width as room on each side, and is three tenths as high at least", function()
    local found = of({ { 4, 0 }, { 1, 0 }, { 0, 0 } }, 5)
    local low, high = math.min(unpack(found.x)), math.max(unpack(found.x))
    local wide = 1.4 * (high - low)
    for i = 1, 5 do expect(found.at_x[i]):near((low + high) / 2 + wide * ((i - 1) / 4 - .5), 1e-9) end
    for i = 1, 5 do expect(found.at_y[i]):near(.3 * wide * ((i - 1) / 4 - .5), 1e-6) end
    local bent = of({ { 4, 0 }, { 2, 3 }, { 0, 0 } }, 3)
    local bottom, top = math.min(unpack(bent.y)), math.max(unpack(bent.y))
    local half = .7 * (top - bottom)
    expect({ bent.at_y[1], bent.at_y[3] }):near({ (bottom + top) / 2 - half, (bottom + top) / 2 + half }, 1e-9)
    expect(of({ { 0, 0 }, { 0, 0 } }, 3).at_x):near({ -.5e-6, 0, .5e-6 }, 1e-12)
  end)
  it("has its way begin on the left and bend upwards, in whichever direction the weights went", function()
    for _, sign in ipairs { 1, -1 } do
      local found = of { { 4 * sign, 0 }, { 2 * sign, 3 * sign }, { 0, 0 } }
      assert(found.x[1] < 0 and math.max(unpack(found.y)) + math.min(unpack(found.y)) >= 0)
      found = of { { 4 * sign, 0 }, { 2 * sign, -3 * sign }, { 0, 0 } }
      assert(found.x[1] < 0 and math.max(unpack(found.y)) + math.min(unpack(found.y)) >= 0)
    end
  end)
  it("has the losses of the weights at its places, along both directions", function()
    local model, d = line()
    local states, own = states_of(model, { { 4, 0 }, { 2, 3 }, { 0, 0 } })
    local found = trajectory(model, d, states, { points = 3 })
    for i, b in ipairs(found.at_y) do
      for j, a in ipairs(found.at_x) do
        local moved = found.directions[1].weight * a + found.directions[2].weight * b
        local at = nn.Linear(3, 2)
        g.no_grad(function()
          at.weight:copy_(own.weight + moved)
          at.bias:zero_()
        end)
        expect(found.loss[i][j]):near(require("gradus.training.task").evaluate(at, d).loss, 1e-4)
      end
    end
    -- The states lie on it: each is the last one moved along both directions by its place.
    for i, state in ipairs(states) do
      local moved = found.directions[1].weight * found.x[i] + found.directions[2].weight * found.y[i]
      expect((own.weight + moved - state.weight):abs():amax():item()):near(0, 1e-5)
    end
  end)
  it("has shares of accuracy where labels are classes, and tells how far it is", function()
    local told = {}
    local found = of({ { 4, 1 }, { 0, 0 } }, 4, function(share) told[#told + 1] = share end)
    expect({ told, found.acc }):equals { { .25, .5, .75, 1 } }
    local net = nn.Linear(6, 3)
    local kept = copy(net:state_dict())
    local other = copy(net:state_dict())
    other.weight = other.weight + g.randn(3, 6)
    local classes = trajectory(net, support.points(30), { other, kept }, { points = 3 })
    expect({ #classes.acc, #classes.acc[1], #classes.own }):equals { 3, 3, 2 }
    expect(classes.acc[2][3] >= 0 and classes.acc[2][3] <= 1):is_true()
    expect(classes.own[2].acc):equals(require("gradus.training.task").evaluate(net, support.points(30)).acc)
  end)
end)

describe("landscapes drawn", function()
  it("are well-formed, escape their words, and share one scale", function()
    local rows = { { 1, 2 }, { 3, 0 / 0 } }
    local path = { { x = 0, y = 0, letter = "S" }, { x = 1, y = 1 } }
    local svg = drawing.svg({ { title = "<a> & \"b\"", x = { 0, 1 }, y = { 0, 1 }, loss = rows, path = path },
      { title = "two", x = { 0, 1 }, y = { 0, 1 }, loss = { { 10, 10 }, { 10, 10 } } } }, "note")
    expect(svg):matches "&lt;a&gt; &amp; &quot;b&quot;"
    expect(svg):matches "#999"      -- no number
    expect(svg):matches "#440154"   -- the lowest of all
    expect(svg):matches "#fde725"   -- the highest, in the other panel
    expect(select(2, svg:gsub("#440154", ""))):equals(1)
    expect(svg):matches "polyline"
  end)

  it("shows letters over shades", function()
    expect(drawing.lines({ { 1, 2 }, { 3, 4 } }, { [1] = { [2] = "S" } })[2]:sub(-4)):matches "S"
    expect(drawing.lines({ { 0 / 0 } })[1]):equals "??"
    expect(drawing.lines({ { 1, 1 } })[1]):equals "    "
  end)
end)
