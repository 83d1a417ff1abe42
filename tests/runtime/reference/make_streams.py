"""Prints the numbers that random_test, sampler_test, mask_test and augment_test pin: runs of old versions must stay reproducible. From
the descriptions in runtime/random.h, runtime/data/sampler.h and runtime/ops/mask.h alone."""
import math

from make_seeds import derive_seed


def philox(c, k):
    for _ in range(10):
        a, b = 0xD2511F53 * c[0], 0xCD9E8D57 * c[2]
        c = [(b >> 32) ^ c[1] ^ k[0], b & 0xFFFFFFFF, (a >> 32) ^ c[3] ^ k[1], a & 0xFFFFFFFF]
        k = [(k[0] + 0x9E3779B9) & 0xFFFFFFFF, (k[1] + 0xBB67AE85) & 0xFFFFFFFF]
    return c


def words(n):
    return [n & 0xFFFFFFFF, n >> 32]


class Random:
    def __init__(self, seed, position=0):
        self.seed, self.position = seed, position

    def next(self):
        b = philox(words(self.position // 2) + [0, 0], words(self.seed))
        i = 2 * (self.position % 2)
        self.position += 1
        return b[i] | b[i + 1] << 32

    def uniform(self):
        return (self.next() >> 11) * 2.0**-53

    def below(self, n):
        while True:
            product = self.next() * n
            if product % 2**64 >= (2**64 - n) % n:
                return product >> 64


def bits(seed, index, visit, lane):
    return philox([lane, visit] + words(index), words(seed))


def to_unit(low, high):
    return ((low | high << 32) >> 11) * 2.0**-53


def normal(seed, index, visit, lane):
    b = bits(seed, index, visit, lane)
    return math.sqrt(-2 * math.log1p(-to_unit(b[0], b[1]))) * math.cos(2 * math.pi * to_unit(b[2], b[3]))


def normals(seed, index, visit, lane):
    b = bits(seed, index, visit, lane)
    out = []
    for i in (0, 2):
        radius, angle = math.sqrt(-2 * math.log((b[i] + .5) * 2.0**-32)), (b[i + 1] >> 8) * 2 * math.pi * 2.0**-24
        out += [radius * math.cos(angle), radius * math.sin(angle)]
    return out


def shuffled(rows, seed, order):
    rows, random = list(rows), Random(derive_seed(seed, "order", order))
    for i in range(len(rows), 1, -1):
        j = random.below(i)
        rows[i - 1], rows[j] = rows[j], rows[i - 1]
    return rows


def weighted(weights, seed, draw):
    left = Random(seed, draw).uniform() * sum(weights)
    for row, weight in enumerate(weights):
        if left < weight:
            return row
        left -= weight


def masked(tokens, seed, index, visit, rate, mask, low, high):
    out = []
    for at, token in enumerate(tokens):
        b = bits(seed, index, visit, at)
        if low <= token < high and b[0] * 2.0**-32 < rate:
            fate = b[1] * 2.0**-32
            token = mask if fate < .8 else low + int(b[2] * 2.0**-32 * (high - low)) if fate < .9 else token
        out.append(token)
    return out


def shift(seed, index, visit, reach):
    b = bits(seed, index, visit, 0xFFFFFFFF)
    return [int((one >> 8) * 2.0**-24 * (2 * reach + 1)) - reach for one in b[:2]]


if __name__ == "__main__":
    r = Random(9 << 32 | 5)
    print("next", [r.next() for _ in range(4)])
    print("below", [r.below(n) for n in (1000, 7, 2**63 + 1, 3)], r.position, "uniform", r.uniform())
    print("row", bits(3 << 32 | 1, 7 << 32 | 2, 4, 5), to_unit(*bits(3, 7, 2, 1)[:2]), normal(3, 7, 2, 1), normals(3, 7, 2, 1))
    print("shuffle", [shuffled(range(8), 1, order) for order in range(2)])
    print("weighted", [weighted([1, 0, 2, .5, 4], 1, draw) for draw in range(16)])
    print("masked", masked([2] + list(range(5, 25)) + [0], 11, 3, 1, .5, 4, 5, 25))
    print("shift", [shift(5, index, 2, 3) for index in range(6)])
    print("noise", [1 + .1 * z for lane in (0, 1) for z in normals(5, 3, 2, lane)])
