--- What the files said that modules were loaded from: module -> the file's metadata. Weak: it keeps no module.
return setmetatable({}, { __mode = "k" })
