std = "luajit"
max_line_length = 140
ignore = { "212/_.*", "212/self", "581" }  -- 581: not (x > 0) is meant as it stands, NaN fails it
exclude_files = { "build*/**" }
files["tests/**/*_spec.lua"] = { read_globals = { "describe", "it", "before_each", "after_all", "expect" } }
-- Globals are what it is about.
files["tests/stdlib/base/globals_spec.lua"] = { ignore = { "11." } }
files["tests/stdlib/base/lists_spec.lua"] = { ignore = { "113/x" } }
files["tests/stdlib/experiment/traced_spec.lua"] = { ignore = { "11.", "512" } }
files["tests/stdlib/experiment/summary_spec.lua"] = { ignore = { "12." } }
files["stdlib/base/random.lua"] = { ignore = { "122" } }
files["tests/stdlib/trials.lua"] = { read_globals = { "describe", "it", "expect" } }
-- What the library reads of its surroundings is the spec's own for a moment.
for _, spec in ipairs { "base/console", "experiment/farm", "experiment/dry_run" } do
  files["tests/stdlib/" .. spec .. "_spec.lua"] = { read_globals = { "describe", "it", "before_each", "after_all", "expect" }, ignore = { "122" } }
end
