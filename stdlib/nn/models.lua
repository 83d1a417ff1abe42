--- Containers, and networks in one line: nn.Sequential, nn.ModuleList, nn.MLP, nn.ConvNet.
local check = require "gradus.base.check"
local recording = require "gradus.base.recording"

local ACTIVATIONS = { relu = "ReLU", gelu = "GELU", tanh = "Tanh", sigmoid = "Sigmoid", silu = "SiLU",
  leaky_relu = "LeakyReLU" }

local function shape_text(t) return "[" .. table.concat(t.shape, ", ") .. "]" end

return function(nn)
  -- Items 0, 1, 2, …, as PyTorch names them, so that weights can be exchanged.
  local function add_items(self, ...)
    local items = { ... }
    if #items == 1 and type(items[1]) == "table" and not nn.is_module(items[1]) then items = items[1] end
    for i, item in ipairs(items) do self:add_module(tostring(i - 1), item) end
  end

  --- A list of modules, from 0: list:get(0), list:len(), for i, module in list:each() do … end.
  local ModuleList = nn.class("ModuleList")
  nn.ModuleList = ModuleList
  ModuleList.init = add_items
  function ModuleList:len() return #self._order end
  function ModuleList:get(i)
    local item = self[tostring(i)]
    if not item then check.fail(self.__name, "no item %s; expected 0 to %d", tostring(i), self:len() - 1) end
    return item
  end
  function ModuleList:each()
    local i = -1
    return function()
      i = i + 1
      if i < self:len() then return i, self[tostring(i)] end
    end
  end

  --- Modules applied one after the other: nn.Sequential { nn.Linear(4, 8), nn.ReLU() } or without the braces.
  local Sequential = nn.class("Sequential", ModuleList)
  nn.Sequential = Sequential

  -- A linear layer and the ReLU after it are one operator, unless somebody asks for what is between them.
  local function is_fused(layer, activation)
    return activation and nn.class_of(layer) == nn.Linear and nn.class_of(activation) == nn.ReLU
      and not (nn.is_tapped(layer) or nn.is_tapped(activation))
  end

  function Sequential:forward(x)
    local order, i = self._order, 1
    while order[i] do
      local layer, following = self[order[i]], self[order[i + 1]]
      if is_fused(layer, following) then
        if recording.modules then recording.called(following) end
        x, i = layer(x, true), i + 2
      else
        x, i = layer(x), i + 1
      end
    end
    return x
  end

  local function activation(where, name)
    return nn[ACTIVATIONS[check.value(where, "activation", name,
      check.choice("relu", "gelu", "tanh", "sigmoid", "silu", "leaky_relu"))]]()
  end

  --- Fully connected layers: nn.MLP { 64, 256, 10, activation = "relu", dropout = 0 }. Every dimension after the first of
  --- its input is flattened. The modules are `layers`: layers.0 the first Linear, layers.1 its activation, …
  local MLP = nn.class("MLP")
  nn.MLP = MLP
  function MLP:init(sizes)
    check.value("MLP", "sizes", sizes, check.table)
    local options = check.options("MLP", sizes,
      { activation = check.string, dropout = check.number(0, 1), bias = check.boolean },
      { activation = "relu", dropout = 0, bias = true })
    if #sizes < 2 then check.fail("MLP", "%d sizes; expected at least two: {inputs, …, outputs}", #sizes) end
    self.sizes = {}
    local layers = {}
    for i, size in ipairs(sizes) do
      self.sizes[i] = check.value("MLP", "size " .. i, size, check.int(1))
      if i > 1 then layers[#layers + 1] = nn.Linear(sizes[i - 1], size, options.bias) end
      if i > 1 and i < #sizes then
        layers[#layers + 1] = activation("MLP", options.activation)
        if options.dropout > 0 then layers[#layers + 1] = nn.Dropout(options.dropout) end
      end
    end
    self.layers = nn.Sequential(layers)
  end

  function MLP:forward(x)
    local flat = x:dim() > 2 and x:flatten(1) or x
    if flat:dim() == 0 or flat:size(-1) ~= self.sizes[1] then
      check.fail(("MLP{%s}"):format(table.concat(self.sizes, ", ")),
        "input has shape %s, %s values a sample; expected %d", shape_text(x),
        flat:dim() > 0 and tostring(flat:size(-1)) or "no", self.sizes[1])
    end
    return self.layers(flat)
  end

  --- A small convolutional classifier: for each entry of `channels` a 3×3 convolution, batch normalisation, an activation
  --- and 2×2 max pooling (while both sides are even), then one Linear. Takes [N, C, H, W], or [N, C·H·W].
  ---   nn.ConvNet { channels = { 16, 32 }, classes = 10, input = { 1, 8, 8 } }
  local ConvNet = nn.class("ConvNet")
  nn.ConvNet = ConvNet
  function ConvNet:init(options)
    local size = check.int(1)
    options = check.options("ConvNet", options,
      { channels = check.list(size), classes = size, input = check.list(size, 3), kernel_size = size,
        activation = check.string, batch_norm = check.boolean, dropout = check.number(0, 1) },
      { kernel_size = 3, activation = "relu", batch_norm = true, dropout = 0 })
    for _, name in ipairs { "channels", "classes", "input" } do
      if not options[name] then check.fail("ConvNet", "option '%s' is missing; expected e.g. { channels = { 16, 32 }, "
        .. "classes = 10, input = { 1, 8, 8 } }", name) end
    end
    if options.kernel_size % 2 == 0 then
      check.fail("ConvNet", "kernel_size is %d; expected an odd number, which keeps the size", options.kernel_size)
    end
    local depth, height, width = unpack(options.input)
    self.input = { depth, height, width }
    local layers = {}
    for _, channels in ipairs(options.channels) do
      layers[#layers + 1] = nn.Conv2d(depth, channels, options.kernel_size,
        { padding = (options.kernel_size - 1) / 2, bias = not options.batch_norm })
      if options.batch_norm then layers[#layers + 1] = nn.BatchNorm2d(channels) end
      layers[#layers + 1] = activation("ConvNet", options.activation)
      if height % 2 == 0 and width % 2 == 0 then
        layers[#layers + 1] = nn.MaxPool2d(2)
        height, width = height / 2, width / 2
      end
      depth = channels
    end
    layers[#layers + 1] = nn.Flatten()
    if options.dropout > 0 then layers[#layers + 1] = nn.Dropout(options.dropout) end
    self.features = nn.Sequential(layers)
    self.classifier = nn.Linear(depth * height * width, options.classes)
  end

  function ConvNet:forward(x)
    local c, h, w = unpack(self.input)
    if x:dim() == 2 and x:size(1) == c * h * w then x = x:reshape(-1, c, h, w) end
    if x:dim() ~= 4 or x:size(1) ~= c or x:size(2) ~= h or x:size(3) ~= w then
      check.fail("ConvNet", "input has shape %s; expected [N, %d, %d, %d] or [N, %d]", shape_text(x), c, h, w, c * h * w)
    end
    return self.classifier(self.features(x))
  end
end
