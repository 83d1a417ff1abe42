"""Prints the seeds of random_test.cpp, from the description in runtime/random.h alone."""
MASK = 2**64 - 1


def mix(h):
    h = (h + 0x9E3779B97F4A7C15) & MASK
    h = ((h ^ h >> 30) * 0xBF58476D1CE4E5B9) & MASK
    h = ((h ^ h >> 27) * 0x94D049BB133111EB) & MASK
    return h ^ h >> 31


def derive_seed(run_seed, stream, sub=0):
    name = stream.encode()
    words = [run_seed, len(name)] + [int.from_bytes(name[i:i + 8], "little") for i in range(0, len(name), 8)] + [sub]
    h = 0
    for word in words:
        h = mix(h ^ word)
    return h >> 11


if __name__ == "__main__":
    for arguments in [(0, "init"), (1, "order"), (12345, "a stream with a long name", 7)]:
        print(*arguments, derive_seed(*arguments))
