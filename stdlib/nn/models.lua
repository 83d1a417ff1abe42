--- Containers, and networks in one line: nn.Sequential, nn.ModuleList, nn.MLP, nn.ConvNet.
local check = require "gradus.base.check"
local recording = require "gradus.base.recording"

local ACTIVATIONS = { relu = "ReLU", gelu = "GELU", tanh = "Tanh", sigmoid = "Sigmoid", silu = "SiLU",
  leaky_relu = "LeakyReLU" }

return function(nn)
  -- Items 0, 1, 2, …, as PyTorch names them, so that weights can be exchanged.
  local function add_items(self, ...)
    local items, count = { ... }, select("#", ...)
    if count == 1 and type(items[1]) == "table" and not nn.is_module(items[1]) then
      items, count = items[1], 0
      for key in pairs(items) do
        if type(key) ~= "number" then
          check.fail(self.__name, "expected modules in order; got one by name, '%s' (nn.ModuleDict)", tostring(key))
        end
        count = math.max(count, key)
      end
    end
    for i = 1, count do self:add_module(tostring(i - 1), items[i]) end
  end

  --- A list of modules, each of them registered. As in PyTorch items are counted from 0 and #list is their number:
  ---   local list = nn.ModuleList { nn.Linear(4, 4), nn.Linear(4, 4) }
  ---   for i, layer in ipairs(list) do x = layer(x) end
  ---   for i = 0, #list - 1 do x = list[i](x) end
  --- list[-1] is the last; list[i] = module replaces one; list:append(module), list:extend(modules), list:len(), list:get(i).
  ---@param ... Module  or a table of them
  local ModuleList = nn.class("ModuleList")
  nn.ModuleList = ModuleList
  ModuleList.init = add_items
  -- The names of the items, in order: a class made of a list may have parameters and buffers beside them.
  local function item_names(self)
    local names = {}
    for _, name in ipairs(self._order) do
      if self._kinds[name] == "module" then names[#names + 1] = name end
    end
    return names
  end

  --- How many items there are: #list.
  function ModuleList:len() return #item_names(self) end

  -- The name of item i, counted from the end when below 0.
  local function item_name(self, i)
    local names = item_names(self)
    local count = #names
    local at = type(i) == "number" and i < 0 and count + i or i
    if type(at) ~= "number" or at % 1 ~= 0 or at < 0 or at >= count then
      check.fail(self.__name, "no item %s; %s", tostring(i), count == 0 and "it is empty"
        or ("expected 0 to %d: items are counted from 0 (for i, layer in ipairs(list) do … end)"):format(count - 1))
    end
    return names[at + 1]
  end

  --- Item i of a list, from 0; from the end when below 0.
  ---@param i number
  function ModuleList:get(i) return self._values[item_name(self, i)] end

  -- What list[i] and list[i] = module do (module.lua).
  function ModuleList:__item(i, ...)
    local name = item_name(self, i)
    if select("#", ...) == 0 then return self._values[name] end
    self:add_module(name, (...))
  end

  --- for i, layer in list:each() do … end, i from 0: what ipairs(list) does.
  function ModuleList:each()
    local i, names = -1, item_names(self)
    return function()
      i = i + 1
      local name = names[i + 1]
      if name then return i, self._values[name] end
    end
  end

  --- Adds a module at the end; returns the list.
  ---@param module Module
  function ModuleList:append(module)
    self:add_module(tostring(self:len()), module)
    return self
  end

  --- Adds the modules of a table or of another list at the end; returns the list.
  ---@param modules Module[]|ModuleList
  function ModuleList:extend(modules)
    check.value(self.__name .. ":extend", "modules", modules, check.table)
    if nn.is_module(modules) then
      if not modules.each then check.fail(self.__name .. ":extend", "expected a list of modules; got %s", check.describe(modules)) end
      for _, module in modules:each() do self:append(module) end
    else
      for _, module in ipairs(modules) do self:append(module) end
    end
    return self
  end

  function ModuleList:forward()
    check.fail(self.__name, "is a list, not a function; expected for i, layer in ipairs(list) do x = layer(x) end, or nn.Sequential")
  end

  --- Modules by name, each of them registered: dict.name, dict["name"], for name, module in pairs(dict) do … end. The order is
  --- that of the names.
  ---   local heads = nn.ModuleDict { digits = nn.Linear(8, 10), parity = nn.Linear(8, 2) }
  ---@param modules table<string, Module>
  local ModuleDict = nn.class("ModuleDict")
  nn.ModuleDict = ModuleDict
  function ModuleDict:init(modules)
    local names = {}
    for name in pairs(modules and check.value("ModuleDict", "modules", modules, check.table) or {}) do
      if type(name) ~= "string" then check.fail("ModuleDict", "expected modules by name; got %s as a name", check.describe(name)) end
      names[#names + 1] = name
    end
    table.sort(names)
    for _, name in ipairs(names) do self:add_module(name, modules[name]) end
  end
  function ModuleDict:forward() check.fail("ModuleDict", "is a table, not a function; expected dict.name(x)") end

  --- Modules applied one after the other: nn.Sequential { nn.Linear(4, 8), nn.ReLU() } or without the braces. It is a list too:
  --- #net, net[0], ipairs(net).
  ---   local net = nn.Sequential { nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2) }
  ---@param ... Module  or a table of them
  local Sequential = nn.class("Sequential", ModuleList)
  nn.Sequential = Sequential

  -- A linear layer and the ReLU after it are one operator, unless somebody asks for what is between them.
  local function is_fused(layer, activation)
    return activation and nn.class_of(layer) == nn.Linear and nn.class_of(activation) == nn.ReLU
      and not (nn.is_tapped(layer) or nn.is_tapped(activation))
  end

  function Sequential:forward(x, ...)
    if x == nil or select("#", ...) > 0 then
      check.fail(self.__name, "expected one input; got %s (its items are for i, layer in ipairs(net) do … end)",
        x == nil and "nil" or select("#", ...) + 1)
    end
    local order, i = item_names(self), 1
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

  local NORM = check.choice("none", "layer", "batch")

  --- Fully connected layers: nn.MLP { 64, 256, 10, activation = "relu", norm = "none", dropout = 0 }. Every dimension after the
  --- first of its input is flattened. The modules are `layers`: layers.0 the first Linear, layers.1 its activation, …; norm = "layer"
  --- or "batch" puts a nn.LayerNorm or nn.BatchNorm1d between the two.
  ---   nn.MLP { 64, 256, 10, norm = "layer", dropout = .1 }
  ---@param sizes {activation: string?, norm: string?, dropout: number?, bias: boolean?}
  ---   a list of sizes, inputs, …, outputs; activation: "relu", or "gelu", "tanh", "sigmoid", "silu", "leaky_relu"; norm: "none", or
  ---   "layer", "batch"; dropout: 0, behind each activation; bias: true
  local MLP = nn.class("MLP")
  nn.MLP = MLP
  function MLP:init(sizes)
    check.value("MLP", "sizes", sizes, check.table)
    local options = check.options("MLP", sizes,
      { activation = check.string, dropout = check.number(0, 1), bias = check.boolean, norm = NORM },
      { activation = "relu", dropout = 0, bias = true, norm = "none" })
    activation("MLP", options.activation)  -- a misspelt one, though two sizes have none
    if #sizes < 2 then check.fail("MLP", "%d sizes; expected at least two: {inputs, …, outputs}", #sizes) end
    self.sizes = {}
    local layers = {}
    for i, size in ipairs(sizes) do
      self.sizes[i] = check.value("MLP", "size " .. i, size, check.int(1))
      if i > 1 then layers[#layers + 1] = nn.Linear(sizes[i - 1], size, options.bias) end
      if i > 1 and i < #sizes then
        if options.norm ~= "none" then layers[#layers + 1] = options.norm == "layer" and nn.LayerNorm(size) or nn.BatchNorm1d(size) end
        layers[#layers + 1] = activation("MLP", options.activation)
        if options.dropout > 0 then layers[#layers + 1] = nn.Dropout(options.dropout) end
      end
    end
    self.layers = nn.Sequential(layers)
  end

  function MLP:forward(x)
    if not check.tensor.test(x) then check.value("MLP", "input", x, check.tensor) end
    local flat = x:dim() > 2 and x:flatten(1) or x
    if flat:dim() == 0 or flat:size(-1) ~= self.sizes[1] then
      check.fail(("MLP{%s}"):format(table.concat(self.sizes, ", ")),
        "input has shape %s, %s values a sample; expected %d", check.shape(x),
        flat:dim() > 0 and tostring(flat:size(-1)) or "no", self.sizes[1])
    end
    return self.layers(flat)
  end

  -- "layer" is over channels, height and width of a row. batch_norm = false is the older word for "none".
  local function norm_of(options)
    if options.batch_norm ~= nil and options.norm then check.fail("ConvNet", "expected norm or batch_norm; got both") end
    return options.norm or (options.batch_norm == false and "none" or "batch")
  end

  --- A small convolutional classifier: for each entry of `channels` a 3×3 convolution, batch normalisation (norm = "layer", "none": layer
  --- normalisation, or none), an activation and 2×2 max pooling (while both sides are even), then one Linear. Takes [N, C, H, W],
  --- [N, C·H·W] and, of one channel, [N, H, W].
  ---   nn.ConvNet { channels = { 16, 32 }, classes = 10, input = { 1, 8, 8 }, norm = "layer" }
  ---@param options {channels: number[], classes: number, input: number[], kernel_size: number?, activation: string?, norm: string?,
  ---   dropout: number?, batch_norm: boolean?}
  ---   channels: of each convolution; classes: numbers that it gives a row; input: { C, H, W }; kernel_size: 3, odd; activation: "relu",
  ---   or "gelu", "tanh", "sigmoid", "silu", "leaky_relu"; norm: "batch", or "layer", "none"; dropout: 0, before the last layer;
  ---   batch_norm: false is an older word for norm = "none"
  local ConvNet = nn.class("ConvNet")
  nn.ConvNet = ConvNet
  function ConvNet:init(options)
    local size = check.int(1)
    options = check.options("ConvNet", options,
      { channels = check.list(size), classes = size, input = check.list(size, 3), kernel_size = size,
        activation = check.string, norm = NORM, batch_norm = check.boolean, dropout = check.number(0, 1) },
      { kernel_size = 3, activation = "relu", dropout = 0 })
    local norm = norm_of(options)
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
        { padding = (options.kernel_size - 1) / 2, bias = norm ~= "batch" })
      if norm == "batch" then layers[#layers + 1] = nn.BatchNorm2d(channels) end
      if norm == "layer" then layers[#layers + 1] = nn.LayerNorm { channels, height, width } end
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
    if not check.tensor.test(x) then check.value("ConvNet", "input", x, check.tensor) end
    local c, h, w = unpack(self.input)
    local flat = x:dim() == 2 and x:size(1) == c * h * w
    if flat or x:dim() == 3 and c == 1 and x:size(1) == h and x:size(2) == w then x = x:reshape(-1, c, h, w) end
    if x:dim() ~= 4 or x:size(1) ~= c or x:size(2) ~= h or x:size(3) ~= w then
      local last = x:dim() == 4 and x:size(1) == h and x:size(2) == w and x:size(3) == c
      check.fail("ConvNet", "input has shape %s; expected [N, %d, %d, %d] or [N, %d]%s", check.shape(x), c, h, w, c * h * w,
        last and ": x:permute(0, 3, 1, 2), or images = true of data.npy" or "")
    end
    return self.classifier(self.features(x))
  end
end
