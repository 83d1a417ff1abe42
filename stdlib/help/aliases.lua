--- What else the words of concepts.lua are called, in small letters: `gradus help StandardScaler` is `gradus help standardize`.
local NAMES = [[
  standardize: standardise standardization standardisation normalize normalise normalization normalisation scale scaling scaler
  standardize: standardscaler standard_scaler minmaxscaler zscore z-score
  strict: advice amiss warnings
  unlabelled: unlabeled semi-supervised semisupervised semi_supervised -100 missing_labels
  augmentations: augmentation erase erasing random_erasing randomerasing cutout shift noise mixup crop randomcrop transforms transform]]

local aliases = {}
for word, names in NAMES:gmatch "([%w_]+): ([^\n]+)" do
  for name in names:gmatch "%S+" do aliases[name] = word end
end

return aliases
