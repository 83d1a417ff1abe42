std = "luajit"
max_line_length = 140
ignore = { "212/_.*", "212/self" }
exclude_files = { "build*/**" }
files["tests/**/*_spec.lua"] = { read_globals = { "describe", "it", "before_each", "expect" } }
