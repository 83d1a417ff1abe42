"""The rows of the benchmark: what is computed, its sizes, and the target for ours / best peer's (lower is better)."""

TEMPERATURE, ALPHA, LR = 4.0, 0.7, 1e-3


def mlp(sizes, batch, optimizer="AdamW"):
    return {"kind": "mlp", "sizes": sizes, "batch": batch, "optimizer": optimizer, "scan": True}


def mlp_flops(sizes, batch):
    # forward, dW and dX of each layer but dX of the first
    products = [2 * batch * a * b for a, b in zip(sizes, sizes[1:])]
    return 3 * sum(products) - products[0]


ENCODER = {"kind": "encoder", "batch": 16, "length": 128, "width": 256, "layers": 4, "heads": 4, "classes": 10,
           "chunk": 2}  # steps in one compiled loop


def encoder_flops(row):
    tokens, width = row["batch"] * row["length"], row["width"]
    layer = 2 * tokens * width * width * 12 + 4 * tokens * row["length"] * width  # projections, two layers, attention
    head = 2 * row["batch"] * width * row["classes"]
    if row["kind"] == "vocabulary":
        head = 2 * tokens * width * row["vocabulary"]
    teacher = head / 3 if row["kind"] == "vocabulary" else 0
    return 3 * (row["layers"] * layer + head + teacher)


VOCABULARY = {**ENCODER, "kind": "vocabulary", "batch": 4, "vocabulary": 30522}
CNN = {"kind": "cnn", "batch": 128, "chunk": 4}
CACHED = {"kind": "cached", "sizes": [100, 100, 2], "teacher": [100, 420, 340, 2], "batch": 32, "optimizer": "AdamW"}


def conv_flops(batch):
    first = 2 * batch * 28 * 28 * 16 * 9
    second = 2 * batch * 14 * 14 * 32 * 16 * 9
    return 3 * (first + second) - first + 3 * 2 * batch * 1568 * 10


DISTILLATION = {"kind": "distillation", "sizes": [50, 100, 2], "teacher": [50, 200, 2], "batch": 32, "optimizer": "SGD",
                "least": 5000}  # steps of a request: each is a training of its own, with its recording and audits


def chain(own):
    return {"kind": "chain", "operators": 100, "own": own}


# (name, work, floating-point operations of a step, target, target of peak memory or None)
ROWS = [
    ("KD step, MLP 100-100-2, batch 32, AdamW", mlp([100, 100, 2], 32), mlp_flops([100, 100, 2], 32), 0.6, None),
    ("KD step, MLP 100-100-2, batch 1, SGD", mlp([100, 100, 2], 1, "SGD"), mlp_flops([100, 100, 2], 1), 0.6, None),
    ("KD step, MLP 100-100-2, batch 512, AdamW", mlp([100, 100, 2], 512), mlp_flops([100, 100, 2], 512), 0.6, None),
    ("MLP 784-1024-1024-10, batch 512", {**mlp([784, 1024, 1024, 10], 512), "chunk": 4},
     mlp_flops([784, 1024, 1024, 10], 512), 0.8, None),
    ("transformer encoder, 4 layers of 256, 16 × 128 tokens, fp32", ENCODER, encoder_flops(ENCODER), 0.6, None),
    ("transformer encoder, 4 layers of 256, 16 × 128 tokens, bf16", {**ENCODER, "dtype": "bfloat16"},
     encoder_flops(ENCODER), 0.9, None),
    ("vocabulary 30,522, 4 × 128 tokens", VOCABULARY, encoder_flops(VOCABULARY), 0.7, 0.5),
    ("small CNN on 28×28, batch 128", CNN, conv_flops(128), 0.8, None),
    ("process start to the end of the first step", {**mlp([100, 100, 2], 32), "startup": True}, None, 0.2, None),
    ("cached teacher against teacher forward each step, teacher 20× the student", CACHED, None, 0.2, None),
    ("a distillation of parity, batch 32: fresh data, teacher and step, ours also logged", DISTILLATION, None, None, None),
    ("an operator of the library on one number, in a plan of 100", chain(False), None, None, None),
    ("an operator of ours (a layer of one weight), in a plan of 100", chain(True), None, None, None),
]
