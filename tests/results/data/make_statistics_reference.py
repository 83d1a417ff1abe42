"""SciPy's answers for tests/results/statistics_test.cpp: python3 make_statistics_reference.py > statistics_reference.json"""

import json

import numpy as np
import scipy
from scipy import stats

random = np.random.default_rng(7)
SETS = {
    "five seeds": [0.91, 0.935, 0.902, 0.948, 0.921],
    "two": [0.5, 0.75],
    "ties": [0.1, 0.1, -0.2, 0.3, 0.1, -0.1, 0.4],
    "zeros": [0.0, 0.2, -0.1, 0.0, 0.3, 0.15, 0.05],
    "negative": [-3.0, -1.0, -2.5, -0.25, -4.0, -1.75],
    "twenty": [float(round(v, 6)) for v in random.normal(0.1, 1, 20)],
    "skewed": [float(round(v, 6)) for v in random.exponential(2, 12)],
    "sixty": [float(round(v, 6)) for v in random.normal(0.2, 1, 60)],
    "eighty with ties": [float(round(v, 1)) for v in random.normal(0.2, 1, 80)],
}


def wilcoxon(values):
    plain = [v for v in values if v != 0]
    tied = len(set(map(abs, plain))) < len(plain)
    if len(plain) <= 13 and tied:  # all signs of these ranks
        method = stats.PermutationMethod(n_resamples=np.inf)
    else:
        method = "exact" if len(plain) <= 50 else "asymptotic"
    result = stats.wilcoxon(plain, method=method, correction=False)
    return {"statistic": float(result.statistic), "p": float(result.pvalue)}


def describe(values):
    v = np.array(values)
    mean, sem = v.mean(), stats.sem(v)
    t = stats.ttest_1samp(v, 0)
    out = {"values": values, "mean": mean, "sd": v.std(ddof=1), "t": t.statistic, "p": t.pvalue}
    out["t95"] = list(stats.t.interval(0.95, len(v) - 1, mean, sem))
    out["t80"] = list(stats.t.interval(0.80, len(v) - 1, mean, sem))
    out["wilcoxon"] = wilcoxon(values)
    if len(v) >= 5:
        whole = np.round(v * 1e6)  # of fractions SciPy tells resamples of the values' own mean apart by their sums' rounding
        b = stats.bootstrap((whole,), np.mean, n_resamples=400_000, method="BCa", batch=10_000, random_state=np.random.default_rng(1))
        out["bca95"] = [b.confidence_interval.low / 1e6, b.confidence_interval.high / 1e6]
    return out


def power(effect, n, alpha):
    critical = stats.t.ppf(1 - alpha / 2, n - 1)
    shift = effect * np.sqrt(n)
    far = stats.nct.cdf(-critical, n - 1, shift)  # SciPy gives NaN where it is below 1e-12
    return float(stats.nct.sf(critical, n - 1, shift) + (far if np.isfinite(far) else 0))


def needed(effect, wanted=0.8, alpha=0.05):
    n = 2
    while power(effect, n, alpha) < wanted:
        n += 1
    return n


def tost(values, margin):
    v = np.array(values)
    return float(max(stats.ttest_1samp(v, margin, alternative="less").pvalue, stats.ttest_1samp(v, -margin, alternative="greater").pvalue))


def tost_power(mean, sd, margin, n, alpha):
    # Owen's formula as an integral over the sample's deviation, chi with n - 1 degrees.
    from scipy import integrate
    critical, root = stats.t.ppf(1 - alpha, n - 1), np.sqrt(n) / sd
    def inside(s):
        high, low = (margin - mean) * root - critical * s, (-margin - mean) * root + critical * s
        return max(0.0, stats.norm.cdf(high) - stats.norm.cdf(low)) * stats.chi.pdf(s * np.sqrt(n - 1), n - 1) * np.sqrt(n - 1)
    end = margin * root / critical
    return float(integrate.quad(inside, 0, min(end, 20), epsabs=1e-12, epsrel=1e-10, limit=500)[0])


def tost_needed(mean, sd, margin):
    n = 2
    while tost_power(mean, sd, margin, n, 0.05) < 0.8:
        n += 1
    return n


P = [[0.01, 0.04, 0.03, 0.005], [0.2], [0.5, 0.5, 0.5], [0.001, 0.9, 0.02, 0.02, 0.3]]


def holm(p):
    order = np.argsort(p, kind="stable")
    stepped = np.maximum.accumulate(np.minimum(1, np.array(p)[order] * np.arange(len(p), 0, -1)))
    out = np.empty(len(p))
    out[order] = stepped
    return [float(x) for x in out]


steps = [0, 10, 15, 40, 100]
heights = [0.1, 0.5, 0.4, 0.8, 0.9]
print(json.dumps({
    "scipy": scipy.__version__,
    "sets": {name: describe(values) for name, values in SETS.items()},
    "t_cdf": [[t, d, float(stats.t.cdf(t, d))] for t in [-40, -2.5, -0.1, 0, 1.3, 6] for d in [1, 2, 4, 30, 1000]],
    "t_quantile": [[p, d, float(stats.t.ppf(p, d))] for p in [1e-6, 0.025, 0.4, 0.5, 0.9, 0.9995] for d in [1, 2, 4, 30, 1000]],
    "normal_quantile": [[p, float(stats.norm.ppf(p))] for p in [1e-12, 1e-4, 0.025, 0.5, 0.8, 0.999]],
    "power": [[e, n, a, power(e, n, a)] for e in [0.1, 0.5, 1.2, 3.0] for n in [2, 3, 5, 10, 40] for a in [0.05, 0.01]],
    "needed": [[e, needed(e)] for e in [0.2, 0.5, 0.8, 1.0, 1.5, 2.5, -0.5]],
    "tost": [[name, margin, tost(SETS[name], margin)] for name in SETS for margin in (0.05, 1.0, 3.0)],
    "tost_power": [[m, s, d, n, tost_power(m, s, d, n, 0.05)] for m, s, d in [(0, 1, 1), (0.1, 0.3, 0.5), (0, 0.058, 0.05)] for n in (3, 6, 12, 30)],
    "tost_needed": [[m, s, d, tost_needed(m, s, d)] for m, s, d in [(0, 1, 1), (0.1, 0.3, 0.5), (0, 0.058, 0.05)]],
    "signs": [[k, n, float(stats.binomtest(k, n).pvalue)] for k, n in [(0, 3), (1, 6), (3, 6), (2, 20), (45, 60)]],
    "holm": [[p, holm(p)] for p in P],
    "auc": {"steps": steps, "values": heights, "mean_height": float(np.trapezoid(heights, steps) / (steps[-1] - steps[0]))},
}, indent=1))
