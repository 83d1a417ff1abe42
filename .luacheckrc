std = "luajit"
max_line_length = 140
ignore = { "212/_.*", "212/self" }
exclude_files = { "build*/**" }
