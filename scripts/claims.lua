-- The table of claims in README: what the paper says and what the runs in the store say, as Markdown.
--   make claims                                   runs the experiments first, into build/claims
--   gradus run scripts/claims.lua --store FILE    reads only
local g = require "gradus"

-- figure of the paper, what it says, experiment, method, result, the method it is compared with when that is not one-shot, which
-- of the experiment's runs when not all; method nil: the result is above 1 in every run
local CLAIMS = {
  { "2", "a trained teacher's hidden layer correlates wider with the support", "parity_mlp", nil, "teacher_ratio" },
  { "3a", "extraction needs fewer FLOPs than one-shot: parity, MLP", "parity_mlp", "extraction", "gflops_to_95" },
  { "3a", "progressive needs fewer FLOPs than one-shot: parity, MLP", "parity_mlp", "progressive", "gflops_to_95" },
  { "3b", "extraction needs fewer FLOPs than one-shot: parity, transformer", "parity_transformer", "extraction", "gflops_to_95" },
  { "3b", "progressive needs fewer FLOPs than one-shot: parity, transformer", "parity_transformer", "progressive", "gflops_to_95" },
  { "4a", "extraction is more accurate at equal FLOPs: cfg3b, BERT", "cfg3b_bert", "extraction", "acc", nil, "stages == 3" },
  { "4b", "so it is in two stages, with fewer steps", "cfg3b_bert", "extraction", "acc", nil, "stages == 2" },
  { "4b", "so it is in four stages, with more steps", "cfg3b_bert", "extraction", "acc", nil, "stages == 4" },
  { "4c", "extraction from three layers beats one-shot: cfg3b, BERT", "cfg3b_bert", "three_layers", "acc", nil, "stages == 3" },
  { "4c", "extraction from three layers beats one layer: cfg3b, BERT", "cfg3b_bert", "three_layers", "acc", "layer_2",
    "stages == 3" },
  { "–", "ours: three layers through one matrix beat three through three", "cfg3b_bert", "one_projection", "acc", "three_layers",
    "stages == 3" },
  { "3c", "extraction is more accurate at equal FLOPs: text, BERT", "text_bert", "extraction", "acc" },
}
local VERDICT = { better = "reproduced", worse = "the opposite", open = "not reproduced" }
local OF_OURS = { better = "holds", worse = "the opposite", open = "open" }
local UNIT = { gflops_to_95 = { "%.0f", 1, "GFLOPs" }, acc = { "%.1f", 100, "%" } }

local function row(...) print("| " .. table.concat({ ... }, " | ") .. " |") end

local function spread(group, key, unit)
  local s = group.metrics[key].last
  return unit[1]:format(unit[2] * s.mean) .. (s.sd and " ± " .. unit[1]:format(unit[2] * s.sd) or "")
end

-- One row for each size that was run.
local function compared(figure, text, where, method, result, baseline)
  local key, unit = "result/" .. result, UNIT[result]
  -- These two methods alone: what else was run says nothing of the claim, and would be corrected for.
  where = ("%s and (method == '%s' or method == '%s')"):format(where, method, baseline)
  local c = g.compare { where = where, by = { "size", "method" }, metrics = { key },
    versus = "method=" .. baseline }
  for _, one in ipairs(c.versus.comparisons) do
    local ours, theirs = c.groups[one.group + 1], c.groups[one.baseline + 1]
    if ours.label.method == method then
      local signed = unit[1]:gsub("%%", "%%+")
      row(figure, text, ours.label.size, one.pairs, spread(theirs, key, unit), spread(ours, key, unit),
        one.low and ("%s [%s, %s] %s"):format(signed:format(unit[2] * one.mean), unit[1]:format(unit[2] * one.low),
          unit[1]:format(unit[2] * one.high), unit[3]) or "–",
        one.low and (figure == "–" and OF_OURS or VERDICT)[one.verdict] or "too few seeds")
    end
  end
end

-- One row for all runs: how often the result is above 1.
local function above_one(figure, text, runs, result)
  local above, low = 0, math.huge
  for _, r in ipairs(runs) do
    local value = r.last["result/" .. result] or 0
    above, low = above + (value > 1 and 1 or 0), math.min(low, value)
  end
  row(figure, text, "all", #runs, "1", ("at least %.1f"):format(low), ("above 1 in %d of %d runs"):format(above, #runs),
    above == #runs and "reproduced" or "not reproduced")
end

-- The finished runs of an experiment, `which` of them; none when one of these methods has not run.
local function finished(where, which, ...)
  if which and #g.runs { where = where } == 0 then return {} end  -- a store without its runs does not know its parameters
  local runs = g.runs { where = where .. (which and " and " .. which or "") .. " and status == 'finished'" }
  for _, method in ipairs { ... } do
    local has = false
    for _, r in ipairs(runs) do has = has or r.params.method == method end
    if not has then return {} end
  end
  return runs
end

row("figure", "claim", "size", "seeds", "baseline", "ours", "difference, 95 % interval", "verdict")
row("---", "---", "---", "---", "---", "---", "---", "---")
for _, claim in ipairs(CLAIMS) do
  local figure, text, name, method, result, baseline, which = unpack(claim, 1, 7)
  baseline = method and (baseline or "one_shot")
  local where = ("name == '%s'"):format(name)
  local runs = finished(where, which, method, baseline)
  if #runs == 0 then row(figure, text, "–", "0", "–", "–", "–", ("not run: `gradus run scripts/%s.lua`"):format(name))
  elseif method then compared(figure, text, which and where .. " and " .. which or where, method, result, baseline)
  else above_one(figure, text, runs, result) end
end
