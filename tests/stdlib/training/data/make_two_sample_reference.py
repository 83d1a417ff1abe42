"""Writes two_sample.json: the kernel two-sample test (Gretton et al. 2012) by its definitions, pair by pair, in double precision.

    python3 tests/stdlib/training/data/make_two_sample_reference.py        (NumPy 2.4)

MMD² is equation 3 there (unbiased), the kernel Gaussian, its width the median distance between two rows of the pooled sample; p by
20,000 permutations. Rows are rounded to four digits, so that both sides read the same numbers.
"""

import json
import pathlib

import numpy as np

HERE = pathlib.Path(__file__).parent
PERMUTATIONS = 20000


def kernel_of(z):
    n = len(z)
    distance = [[float(np.linalg.norm(z[i] - z[j])) for j in range(n)] for i in range(n)]
    sigma = float(np.median([distance[i][j] for i in range(n) for j in range(i)]))
    return np.array([[np.exp(-d * d / (2 * sigma * sigma)) for d in row] for row in distance]), sigma


def mmd2(kernel, first, second):
    n, m = len(first), len(second)
    within = sum(kernel[i, j] for i in first for j in first if i != j) / (n * (n - 1))
    others = sum(kernel[i, j] for i in second for j in second if i != j) / (m * (m - 1))
    across = sum(kernel[i, j] for i in first for j in second) / (n * m)
    return within + others - 2 * across


def case(name, x, y, rng):
    x, y = np.round(x, 4), np.round(y, 4)
    kernel, sigma = kernel_of(np.concatenate([x, y]))
    n, rows = len(x), np.arange(len(x) + len(y))
    found = mmd2(kernel, rows[:n], rows[n:])
    off = kernel - np.diag(np.diag(kernel))
    total, as_far = off.sum(), 0
    for _ in range(PERMUTATIONS):
        order = rng.permutation(rows)
        a, b = order[:n], order[n:]
        aa, bb = off[np.ix_(a, a)].sum(), off[np.ix_(b, b)].sum()
        ab = (total - aa - bb) / 2
        as_far += aa / (n * (n - 1)) + bb / (len(b) * (len(b) - 1)) - 2 * ab / (n * len(b)) >= found - 1e-12
    return {"name": name, "a": x.tolist(), "b": y.tolist(), "mmd2": found, "bandwidth": sigma, "p": (1 + as_far) / (1 + PERMUTATIONS)}


def main():
    rng = np.random.default_rng(17)
    cases = [
        case("one distribution", rng.normal(size=(30, 3)), rng.normal(size=(24, 3)), rng),
        case("a shift", rng.normal(size=(30, 3)), rng.normal(size=(20, 3)) + 0.5, rng),
        case("a wider spread, the same mean", rng.normal(size=(40, 2)), 2 * rng.normal(size=(40, 2)), rng),
        case("few rows, far apart", rng.normal(size=(4, 5)), rng.normal(size=(3, 5)) + 3, rng),
    ]
    (HERE / "two_sample.json").write_text(json.dumps({"cases": cases}, separators=(",", ":")) + "\n")
    for one in cases:
        print(one["name"], one["mmd2"], one["bandwidth"], one["p"])


if __name__ == "__main__":
    main()
