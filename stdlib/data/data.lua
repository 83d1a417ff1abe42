--- g.data: data sets (dataset.lua) and what makes them, each loaded on first use.
local data = require "gradus.data.dataset"

for _, name in ipairs { "digits", "idx", "cifar10", "npy", "safetensors" } do
  data[name] = function(...) return require("gradus.data.readers")[name](...) end
end

function data.csv(path, options) return require "gradus.data.csv"(path, options) end
function data.text(path, options) return require("gradus.data.tokens").text(path, options) end
function data.sentences(options) return require("gradus.data.tokens").sentences(options) end
function data.concat(...) return require "gradus.data.concat"(...) end
function data.parity(options) return require "gradus.data.parity"(options) end

return data
