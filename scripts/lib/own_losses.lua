--- Losses of the literature that Gradus does not bring along, as functions of tensors: what a term of one's own may look like.
--- Each returns a mean over the batch (0-dim); `weight`, where it is taken, is one number for each row: Σ w·row / Σ w.
local g = require "gradus"

local own = {}

local function mean(rows, weight) return weight and (rows * weight):sum() / weight:sum() or rows:mean() end
local function kl(log_p, log_q) return (log_p:exp() * (log_p - log_q)):sum(-1) end

-- Huber's loss (delta = 1), mean over all entries.
local function huber(a, b)
  local d = (a - b):abs()
  return g.where(d:le(1), d:square() / 2, d - .5):mean()
end

--- FitNets' hint: ‖regressor(student) − teacher‖² / width (Romero et al. 2015, arXiv:1412.6550, equation 3, as a mean over units).
---@param regressor Module   [N, S] to [N, W]; trained along with the student
---@param student Tensor     a hidden layer, [N, S]
---@param teacher Tensor     the one that it should foretell, [N, W]
function own.hint(regressor, student, teacher, weight) return mean((regressor(student) - teacher):square():mean { dim = { -1 } }, weight) end

--- DistilBERT's term: 1 − cos(student, teacher) of the last hidden states (Sanh et al. 2019, arXiv:1910.01108, section 3). Theirs
--- are of one width; where they are not, `map` takes the student's to the teacher's (ours).
---@param map? Module
function own.cosine(map, student, teacher, weight)
  return mean(1 - g.cosine_similarity(map and map(student) or student, teacher, -1), weight)
end

-- Vectors between all rows, [N, N, D], and their lengths [N, N]. Below the root's infinite slope at zero: no gradient.
local function differences(e)
  local v = e:unsqueeze(0) - e:unsqueeze(1)
  return v, v:square():sum(-1):clamp_min(1e-24):sqrt()
end

local function distances(e)
  local _, d = differences(e)
  local apart = d:gt(1e-12)
  d = d * apart
  return d / (d:sum() / apart:sum())
end

--- Relational distillation by distances: Huber's loss between the distances of all pairs of rows, each divided by their mean
--- (Park et al. 2019, arXiv:1904.05068, equations 6 to 8; as the authors' code, a mean over N² pairs). Widths may differ.
---@param student Tensor   [N, S]
---@param teacher Tensor   [N, W]
function own.distance_wise(student, teacher) return huber(distances(student), distances(teacher)) end

local function angles(e)
  local v, length = differences(e)
  v = v / length:unsqueeze(-1)
  return v:matmul(v:transpose(1, 2))
end

--- By angles: the cosine at each row between all pairs of others (equations 9 to 11; a mean over N³ triples).
function own.angle_wise(student, teacher) return huber(angles(student), angles(teacher)) end

--- Decoupled distillation: T² · (alpha · TCKD + beta · NCKD), beside the labels' loss (Zhao et al. 2022, arXiv:2203.08679, equation
--- 7). TCKD is the KL of (true class, all others), NCKD that of the others among themselves; kd's own share of NCKD is only
--- 1 − the teacher's probability of the true class.
---@param student Tensor   logits [N, C]
---@param teacher Tensor   logits [N, C]
---@param y Tensor         classes [N]
---@param o {temperature: number|Tensor, alpha: number, beta: number, weight: Tensor?}
function own.decoupled(student, teacher, y, o)
  local t, true_class = o.temperature, g.zeros_like(student):scatter(-1, y:unsqueeze(-1), 1)
  local function split(logits)
    local others = logits / t - true_class * 1000  -- as the authors do: e^-1000 is 0, and 0 · (−1000 + 1000) is no NaN
    local all = (logits / t):logsumexp({ -1 }, true)
    local of_true = (logits / t * true_class):sum({ -1 }, true) - all
    return g.cat({ of_true, others:logsumexp({ -1 }, true) - all }, -1), others:log_softmax(-1)
  end
  local pair_s, others_s = split(student)
  local pair_t, others_t = split(teacher)
  return mean(kl(pair_t, pair_s) * o.alpha + kl(others_t, others_s) * o.beta, o.weight) * t * t
end

return own
