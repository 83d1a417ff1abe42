-- The table of claims in README: what the paper and the guides say and what the runs in the store say, as Markdown.
--   make claims                                   runs the experiments first, into build/claims
--   gradus run scripts/claims.lua --store FILE    reads only
-- Verdicts: reproduced, or the opposite, when the 95 % interval of the difference leaves out zero; else open, whatever was hoped for.
-- Seeds: how many there are, of how many the script's power calculation asks for (g.seeds).
local g = require "gradus"

local FLOPS, STEPS = "budget == 'flops'", "budget == 'steps'"
local PUBLISHED, OURS = " and target == 'published'", " and (target == 'normalised' or method == 'one_shot')"

local WORDS = { better = "reproduced", worse = "the opposite", open = "open" }
local OF_OURS = { better = "holds", worse = "the opposite", open = "open" }
local NONE_WINS = { better = "the opposite: it wins", worse = "holds", open = "open" }
local AS_GOOD = { better = "better than that", worse = "the opposite", open = "no difference shown" }

-- figure, what is said, experiment, two values of `by` that are compared (the second is the baseline), result, which runs
local CLAIMS = {
  { "2", "a trained teacher's hidden layer correlates wider with the support", of = "parity_mlp", above_one = "teacher_ratio" },
}
local function add(figure, text, of, pair, result, which, by)
  CLAIMS[#CLAIMS + 1] = { figure, text, of = of, pair = pair, result = result, which = which, by = by or "method", words = WORDS }
  return CLAIMS[#CLAIMS]
end

-- A claim about extraction, with its target as published and as ours.
local function add_both(figure, text, of, pair, result, which)
  add(figure, text, of, pair, result, which .. PUBLISHED)
  add(figure, text .. ", target normalised (ours)", of, pair, result,
    which .. (pair[2] == "one_shot" and OURS or " and target == 'normalised'")).words = OF_OURS
end

for _, one in ipairs { { "3a", "parity_mlp", "parity, MLP" }, { "3b", "parity_transformer", "parity, transformer" } } do
  local figure, of, what = unpack(one)
  add_both(figure, "extraction needs fewer FLOPs than one-shot: " .. what, of, { "extraction", "one_shot" }, "gflops_to_95", FLOPS)
  add(figure, "progressive needs fewer FLOPs than one-shot: " .. what, of, { "progressive", "one_shot" }, "gflops_to_95", FLOPS)
  add(figure, "extraction needs about as many FLOPs as progressive: " .. what, of, { "extraction", "progressive" }, "gflops_to_95",
    FLOPS .. PUBLISHED).words = AS_GOOD
end
add_both("4a", "extraction is more accurate at equal FLOPs: cfg3b, BERT", "cfg3b_bert", { "extraction", "one_shot" }, "acc",
  FLOPS .. " and stages == 3")
add("4a", "extraction is as accurate as progressive: cfg3b, BERT", "cfg3b_bert", { "extraction", "progressive" }, "acc",
  FLOPS .. " and stages == 3" .. PUBLISHED).words = AS_GOOD
add_both("4b", "it is so in two stages, at equal steps", "cfg3b_bert", { "extraction", "one_shot" }, "acc", STEPS .. " and stages == 2")
add_both("4b", "it is so in four stages, at equal steps", "cfg3b_bert", { "extraction", "one_shot" }, "acc", STEPS .. " and stages == 4")
add_both("4c", "extraction from three layers beats one-shot at equal steps", "cfg3b_bert", { "three_layers", "one_shot" }, "acc",
  STEPS .. " and stages == 3")
add_both("4c", "extraction from three layers beats one layer at equal steps", "cfg3b_bert", { "three_layers", "layer_2" }, "acc",
  STEPS .. " and stages == 3")
add("–", "ours: three layers through one matrix beat three through three", "cfg3b_bert", { "one_projection", "three_layers" }, "acc",
  STEPS .. " and stages == 3 and target == 'normalised'").words = OF_OURS
add_both("3c", "extraction is more accurate at equal FLOPs: text, BERT", "text_bert", { "extraction", "one_shot" }, "acc", FLOPS)

-- What the paper says of costs.
local function add_cost(figure, text, of, kind, value) CLAIMS[#CLAIMS + 1] = { figure, text, of = of, [kind] = value } end
for _, one in ipairs { { "parity_mlp", "parity, MLP" }, { "parity_transformer", "parity, transformer" }, { "cfg3b_bert", "cfg3b, BERT" },
  { "text_bert", "text, BERT" } } do
  add_cost("–", "an iteration costs less while layers are aligned: " .. one[2], one[1], "below_one", "layer_cost")
  add_cost("–", "extraction stores no checkpoints; progressive does: " .. one[2], one[1], "amount", "kept_mb")
end
add_cost("1.1", "samples against d, k = 4: extraction's power is below one-shot's", "sample_complexity", "against", "d")
add_cost("1.1", "samples against k, d = 32: extraction's growth is below one-shot's", "sample_complexity", "against", "k")

-- What the guides say, on digits.
local function of_guide(text, ours, theirs, result)
  return add("guide", text, "guide_claims", { ours, theirs }, result or "test", nil, "setting")
end
of_guide("alpha that rises from .3 to .9 gains 0.5 to 1.5 points on .7", "progressive", "guide").promised = .005
of_guide("a cosine reaches 90 % in 20 to 30 % fewer steps than a fixed rate", "guide", "constant", "steps_to_90")
of_guide("so does an exponential decay", "exponential", "constant", "steps_to_90")
of_guide("T = 4 is better than 1", "guide", "T_1")
of_guide("T = 4 is better than 2", "guide", "T_2")
of_guide("T = 4 is better than 16", "guide", "T_16")
of_guide("alpha = .7 is better than .3", "guide", "alpha_3")
of_guide("alpha = .7 is better than .9", "guide", "alpha_9")
of_guide("layer normalisation is better than batch normalisation, batches of 64", "layer_norm", "batch_norm")
of_guide("layer normalisation is better than batch normalisation, batches of 4", "layer_norm_4", "batch_norm_4")
add("guide", "70 % synthetic and 30 % real beat synthetic alone", "mixing", { "70_30", "synthetic_only" }, "test", nil, "mix")
add("guide", "70 % synthetic and 30 % real beat real alone", "mixing", { "70_30", "real_only" }, "test", nil, "mix")

-- Where a curriculum wins on real data, and where none does.
local function of_noise(text, of, ours, noise, words)
  add("–", "ours: " .. text, of, { ours, "one_shot" }, "test", "noise == " .. noise, "strategy").words = words or OF_OURS
end
of_noise("the easiest 80 % beat all, a fifth of the labels wrong", "noisy_digits", "easiest_80", .2)
of_noise("confidence sampling beats all, a fifth of the labels wrong", "noisy_digits", "confidence", .2)
of_noise("the easiest 80 % beat all, Fashion-MNIST, a fifth of the labels wrong", "noisy_fashion", "easiest_80", .2)
of_noise("confidence sampling beats all, Fashion-MNIST, a fifth of the labels wrong", "noisy_fashion", "confidence", .2)
of_noise("with clean labels no curriculum wins, not the easiest 80 %, Fashion-MNIST", "noisy_fashion", "easiest_80", 0, NONE_WINS)
of_noise("nor confidence sampling, Fashion-MNIST, clean labels", "noisy_fashion", "confidence", 0, NONE_WINS)

local UNIT = { gflops_to_95 = { "%.0f", 1, "GFLOPs" }, acc = { "%.1f", 100, "%" }, test = { "%.1f", 100, "%" },
  steps_to_90 = { "%.0f", 1, "steps" } }

local function row(...) print("| " .. table.concat({ ... }, " | ") .. " |") end

local function spread(group, key, unit)
  local s = group.metrics[key].last
  return unit[1]:format(unit[2] * s.mean) .. (s.sd and " ± " .. unit[1]:format(unit[2] * s.sd) or "")
end

local function verdict(claim, one)
  if not one.low then return "too few seeds" end
  local less = claim.promised and one.high < claim.promised and "; less than what was promised" or ""
  return (claim.words[one.verdict] or one.verdict) .. less
end

-- "9 of 22": how many seeds there are, and were planned.
local function seeds_of(pairs_there, runs)
  local plan = runs[1]:events "plan"[1]
  return plan and plan.detail.seeds > pairs_there and ("%d of %d"):format(pairs_there, plan.detail.seeds) or pairs_there
end

-- One row for each size that was run.
local function compared(claim, where, runs)
  local key, unit, by = "result/" .. claim.result, UNIT[claim.result], claim.by
  local ours, baseline = unpack(claim.pair)
  -- These two alone: what else was run says nothing of the claim, and would be corrected for.
  where = ("%s and (%s == '%s' or %s == '%s')"):format(where, by, ours, by, baseline)
  local c = g.compare { where = where, by = claim.sized and { "size", by } or { by }, metrics = { key }, versus = by .. "=" .. baseline }
  for _, one in ipairs(c.versus.comparisons) do
    local group, against = c.groups[one.group + 1], c.groups[one.baseline + 1]
    if group.label[by] == ours then
      local signed = unit[1]:gsub("%%", "%%+")
      row(claim[1], claim[2], group.label.size or "–", seeds_of(one.pairs, runs), spread(against, key, unit), spread(group, key, unit),
        one.low and ("%s [%s, %s] %s"):format(signed:format(unit[2] * one.mean), unit[1]:format(unit[2] * one.low),
          unit[1]:format(unit[2] * one.high), unit[3]) or "–",
        verdict(claim, one))
    end
  end
end

-- The values of a result in the runs that have it.
local function values_of(runs, result)
  local values = {}
  for _, r in ipairs(runs) do values[#values + 1] = r.last["result/" .. result] end
  return values
end

local function not_run(claim)
  row(claim[1], claim[2], "–", "0", "–", "–", "–", ("not run: `gradus run scripts/%s.lua`"):format(claim.of))
end

-- One row for all runs: how often the result is above, or below, 1.
local function beside_one(claim, runs)
  local values = values_of(runs, claim.above_one or claim.below_one)
  if #values == 0 then return not_run(claim) end
  local right, low, high = 0, math.min(unpack(values)), math.max(unpack(values))
  for _, v in ipairs(values) do right = right + ((claim.above_one and v > 1 or claim.below_one and v < 1) and 1 or 0) end
  row(claim[1], claim[2], "all", #values, "1", low == high and ("%.2f"):format(low) or ("%.2f to %.2f"):format(low, high),
    ("%s 1 in %d of %d runs"):format(claim.above_one and "above" or "below", right, #values),
    right == #values and "reproduced" or right == 0 and "the opposite" or "open")
end

-- One row: what progressive distillation stores.
local function amount(claim, runs)
  local values = values_of(runs, claim.amount)
  if #values == 0 then return not_run(claim) end
  local kept = ("%.1f to %.1f MB"):format(math.min(unpack(values)), math.max(unpack(values)))
  row(claim[1], claim[2], "all", #values, kept, "0 MB", "–", "reproduced")
end

-- Slope of log(samples) against log d, or against k, with the standard error of least squares.
local function slope(runs, method, against)
  local xs, ys, n, mx, my = {}, {}, 0, 0, 0
  for _, r in ipairs(runs) do
    if r.params.method == method and (against == "d" and r.params.k == 4 or against == "k" and r.params.d == 32) then
      n = n + 1
      xs[n] = against == "d" and math.log(r.params.d) or r.params.k
      ys[n] = math.log(r.last["result/samples"])
      mx, my = mx + xs[n], my + ys[n]
    end
  end
  local sxx, sxy, rest = 0, 0, 0
  for i = 1, n do sxx, sxy = sxx + (xs[i] - mx / n) ^ 2, sxy + (xs[i] - mx / n) * (ys[i] - my / n) end
  if n < 4 or sxx == 0 then return nil end
  for i = 1, n do rest = rest + (ys[i] - my / n - sxy / sxx * (xs[i] - mx / n)) ^ 2 end
  return sxy / sxx, math.sqrt(rest / (n - 2) / sxx), n
end

local function fitted(claim, runs)
  local theirs, their_error, n = slope(runs, "one_shot", claim.against)
  local ours, our_error, m = slope(runs, "extraction", claim.against)
  if not theirs or not ours then return not_run(claim) end
  local text = claim.against == "d" and "d^%.2f ± %.2f" or "e^(%.2f ± %.2f)k"
  local difference, reach = ours - theirs, 1.96 * math.sqrt(our_error ^ 2 + their_error ^ 2)
  row(claim[1], claim[2], "small", math.min(n, m), text:format(theirs, their_error), text:format(ours, our_error),
    ("%+.2f [%.2f, %.2f]"):format(difference, difference - reach, difference + reach),
    difference + reach < 0 and "reproduced" or difference - reach > 0 and "the opposite" or "open")
end

-- The finished runs of an experiment, those that `which` names; none when one of the two that are compared has not run.
local function finished(claim, where)
  if #g.runs { where = ("name == '%s'"):format(claim.of) } == 0 then return {} end  -- a store without them does not know their parameters
  local runs = g.runs { where = where .. " and status == 'finished'" }
  for _, value in ipairs(claim.pair or {}) do
    local has = false
    for _, r in ipairs(runs) do has = has or r.params[claim.by] == value end
    if not has then return {} end
  end
  claim.sized = runs[1] and runs[1].params.size ~= nil
  return runs
end

row("figure", "claim", "size", "seeds", "baseline", "ours", "difference, 95 % interval", "verdict")
row("---", "---", "---", "---", "---", "---", "---", "---")
for _, claim in ipairs(CLAIMS) do
  local where = ("name == '%s'"):format(claim.of) .. (claim.which and " and " .. claim.which or "")
  local runs = finished(claim, where)
  if #runs == 0 then not_run(claim)
  elseif claim.pair then compared(claim, where, runs)
  elseif claim.amount then amount(claim, runs)
  elseif claim.against then fitted(claim, runs)
  else beside_one(claim, runs) end
end
