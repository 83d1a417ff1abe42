--- How demands.lua looks: as text for `gradus help demands`, and as Markdown for `gradus help --all`.
local demands = require "gradus.help.demands"
local show = require "gradus.help.show"

local show_demands = {}

local ANSWERS = { "script", "test", "claim", "differs", "missing" }
local WORDS = { script = "scripts/%s.lua", test = "tests/%s: %s", claim = "make claims: %s%s", differs = "differs, %s",
  missing = "missing: %s" }

--- Which of its answers a row has; more than one, or none, is an error in demands.lua.
---@param row table
---@return string  "script", "test", "claim", "differs" or "missing"
function show_demands.kind(row)
  local found
  for _, name in ipairs(ANSWERS) do
    if row[name] and found then error(("demands: '%s': expected one answer; got %s and %s"):format(row[1], found, name)) end
    found = found or row[name] and name
  end
  return found or error(("demands: '%s': expected an answer: %s"):format(row[1], table.concat(ANSWERS, ", ")))
end

local function answer(row)
  local kind = show_demands.kind(row)
  return (WORDS[kind]:format(row[kind], row.case or row.found and (" (%s)"):format(row.found) or ""))
end

-- How many rows have which answer, in words.
local function count(documents)
  local sums, all = { script = 0, test = 0, claim = 0, differs = 0, missing = 0 }, 0
  for _, document in ipairs(documents) do
    for _, section in ipairs(document) do
      for i = 2, #section do
        local kind = show_demands.kind(section[i])
        sums[kind], all = sums[kind] + 1, all + 1
      end
    end
  end
  return ("%d demands: %d shown by a script or a test, %d measured by `make claims`, %d differ, %d missing")
    :format(all, sums.script + sums.test, sums.claim, sums.differs, sums.missing)
end

--- All of it, for a terminal.
---@return string
function show_demands.text()
  local out = { "What is asked of a program such as this, and what answers it. Paths are in Gradus's sources.", count(demands) }
  for _, document in ipairs(demands) do
    show.append(out, { "", ("%s (%s)"):format(document.title, document.kind), count { document } })
    for _, section in ipairs(document) do
      show.append(out, { "", "  " .. section[1] })
      for i = 2, #section do
        show.append(out, show.wrap(section[i][1], "    "))
        show.append(out, show.wrap(answer(section[i]), "        "))
      end
    end
  end
  return table.concat(out, "\n") .. "\n"
end

--- Appends it as Markdown: a table for each document.
---@param out string[]
function show_demands.markdown(out)
  show.append(out, { "\n## What is asked\n", count(demands) .. ". Paths are in Gradus's sources." })
  for _, document in ipairs(demands) do
    show.append(out, { ("\n### %s\n"):format(document.title), ("%s. %s.\n"):format(document.kind, count { document }),
      "| | demand | answer |", "|---|---|---|" })
    for _, section in ipairs(document) do
      for i = 2, #section do
        local cells = { i == 2 and section[1] or "", section[i][1], answer(section[i]) }
        out[#out + 1] = "| " .. table.concat(cells, " | ") .. " |"
      end
    end
  end
end

return show_demands
