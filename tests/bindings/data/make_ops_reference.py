"""What PyTorch says of every deterministic operator of bindings/engine/ops.def: results and gradients on random inputs.

    python3 tests/bindings/data/make_ops_reference.py

writes ops.json (the calls) and ops.safetensors (inputs, results, gradients), which tests/bindings/ops_spec.lua replays,
and printed.json, tensors with the text that Python prints for them, for tests/bindings/print_spec.lua.
An operator's overloads are tried in the order of ops.def, as Gradus does it; that PyTorch itself would have chosen an
overload with the same result is asserted here.
"""

import json
import pathlib
import re
import struct

import torch

HERE = pathlib.Path(__file__).resolve().parent
DTYPES = {torch.float32: "F32", torch.float64: "F64", torch.int64: "I64", torch.bool: "BOOL", torch.int32: "I32"}
NAMES = {torch.float32: "float32", torch.float64: "float64", torch.int64: "int64", torch.bool: "bool", torch.int32: "int32"}


def overloads():
    text = (HERE.parents[2] / "bindings/engine/ops.def").read_text()
    found = {}
    for name, names in re.findall(r"^OP\((\w+),([^)]*)\)", text, re.M):
        found[name] = [full.split("::")[1] for full in re.findall(r'"([^"]+)"', names) if full.startswith("aten::")]
    return {name: names for name, names in found.items() if names}


def resolve(full):
    name, _, overload = full.partition(".")
    return getattr(getattr(torch.ops.aten, name), overload or "default")


torch.manual_seed(20260101)
f8 = torch.float64


def normal(*size):
    return torch.randn(*size, dtype=f8)


def positive(*size):
    return torch.rand(*size, dtype=f8) + 0.1


# Inputs that several calls share. The numbers of a tie-free tensor all differ, so that sorting it has one answer.
POOL = {
    "v": normal(5), "w": normal(5), "m": normal(3, 4), "n": normal(3, 4), "c": normal(2, 3, 4), "d": normal(2, 4, 3),
    "p": positive(3, 4), "q": positive(3, 4), "unit": torch.rand(3, 4, dtype=f8) * 0.98 + 0.01, "row": normal(4), "col": normal(3, 1),
    "square": normal(4, 4), "tall": normal(4, 2), "image": normal(2, 4, 6, 6), "kernel": normal(6, 2, 3, 3), "bias6": normal(6),
    "signal": normal(2, 4, 9), "kernel1": normal(6, 2, 3), "scale4": positive(4), "shift4": normal(4), "mean4": normal(4), "var4": positive(4),
    "logits": normal(5, 4), "logits2": normal(5, 4), "weight4": positive(4), "table": normal(7, 3),
    "query": normal(2, 2, 5, 4), "key": normal(2, 2, 6, 4), "value": normal(2, 2, 6, 4),
    "classes": torch.tensor([0, 3, 1, 2, 3]), "classes2": torch.tensor([0, -100, 1, 2, 3]), "tokens": torch.tensor([[1, 6, 0], [2, 2, 5]]),
    "which": torch.tensor([2, 0, 2]), "places": torch.tensor([[0, 2, 1, 3], [3, 3, 0, 1], [1, 0, 2, 2]]), "rows": torch.tensor([2, 0]),
    "two": normal(2, 4), "mask": torch.tensor([[True, False, True, True], [False, False, True, False], [True, True, False, True]]),
    "mask2": torch.tensor([[True, True, False, True], [False, True, True, False], [False, True, False, False]]),
    "ints": torch.tensor([[4, -3, 7, 0], [2, 9, -5, 1]]), "ints2": torch.tensor([[2, 5, -3, 4], [7, -2, 3, 6]]), "counts": torch.tensor([1, 0, 3, 1, 1]),
    "odd": torch.tensor([1.5, float("nan"), -2.0, float("inf"), float("-inf"), 0.0], dtype=f8), "five": torch.tensor([2, 0, 3]),
    "single": torch.randn(3, 4), "single2": torch.randn(3, 4), "share": torch.rand(3, 4, dtype=f8), "zero": torch.tensor(0.7, dtype=f8),
    "long": normal(3, 4) * 30, "levels": torch.tensor([0.25, 0.5], dtype=f8),
}


class T(str):
    """A tensor of the pool, by name."""


def pool(names):
    return [T(name) for name in names.split()]


CASES = []


def case(op, *args, **kwargs):
    CASES.append((op, list(args), kwargs))


def unary(names, *tensors):
    for name in names.split():
        for tensor in tensors:
            case(name, T(tensor))


(v, w, m, n, c, d, p, q, unit, row, col, square, tall, image, kernel, bias6, signal, kernel1, scale4, shift4, mean4, var4,
 logits, logits2, weight4, table, query, key, value, classes, classes2, tokens, which, places, rows, two, mask, mask2,
 ints, ints2, counts, odd, five, single, single2, share, zero, long_, levels) = pool(" ".join(POOL))

# creation
case("zeros", [2, 3]); case("zeros", [2, 0], dtype=torch.int64); case("ones", [3]); case("ones", [2, 2], dtype=f8)
case("full", [2, 3], 2.5); case("full", [2], 7, dtype=f8); case("full", [2], True)
case("arange", 5); case("arange", 2, 7); case("arange", 1, 2, 0.25); case("arange", 4, dtype=torch.float32); case("arange", 5, 0, -2)
case("linspace", 0, 1, 5); case("linspace", -1.5, 2.5, 3, dtype=f8); case("eye", 3); case("eye", 2, 4, dtype=f8)
unary("zeros_like ones_like", m, ints); case("zeros_like", m, dtype=torch.int64); case("full_like", m, 3.5); case("full_like", ints, 2)

# shape
case("view", c, [6, 4]); case("view", c, [-1]); case("reshape", c, [4, -1]); case("reshape", m, [2, 6])
case("flatten", c); case("flatten", c, 1); case("flatten", c, 0, 1); case("unflatten", m, 1, [2, 2]); case("unflatten", m, -1, [-1, 2])
case("transpose", c, 0, 2); case("transpose", m, -1, -2); case("t", m); case("permute", c, [2, 0, 1]); case("movedim", c, 0, 2)
case("squeeze", col); case("squeeze", col, 1); case("squeeze", m, 0); case("unsqueeze", m, 1); case("unsqueeze", m, -1)
case("expand", col, [3, 4]); case("expand", row, [2, -1]); case("expand_as", col, m); case("broadcast_to", row, [3, 4])
unary("contiguous clone detach", m); case("cat", [m, n]); case("cat", [m, n, m], 1); case("stack", [m, n]); case("stack", [m, n], -1)
case("split", m, 2); case("split", m, 3, 1); case("split", m, [1, 3], 1); case("chunk", m, 2, 1); case("chunk", v, 3); case("unbind", m); case("unbind", m, 1)
case("repeat_interleave", v, 2); case("repeat_interleave", m, 3, 0); case("repeat_interleave", m, five, 0); case("tile", m, [2, 1])
case("flip", m, [0]); case("flip", m, [0, 1]); case("roll", m, [1]); case("roll", m, [1, -1], [0, 1]); case("select", m, 0, 1); case("select", m, 1, -1)
case("slice", m, 1, 1, 3); case("slice", m); case("slice", m, 1, 0, 4, 2); case("narrow", m, 1, 1, 2); case("index_select", m, 0, which)
case("gather", m, 1, places); case("scatter", m, 1, places, n); case("scatter", m, 1, places, 1.5); case("scatter_add", m, 1, places, n)
case("index_add", m, 0, rows, two); case("index_add", m, 0, rows, two, alpha=0.5); case("index_copy", m, 0, rows, two)
case("masked_fill", m, mask, -2.5); case("masked_fill", m, mask, zero); case("masked_select", m, mask); case("take_along_dim", m, places, 1)
case("where", mask, m, n); case("where", mask, m, 2.5); case("where", mask, 1.5, m); case("where", mask, 1.5, 0.5); case("where", mask)
case("nonzero", mask); case("tril", square); case("tril", m, -1); case("triu", square, 1); case("diagonal", square); case("diagonal", square, 1); case("diagonal", c, 0, 1, 2)
case("one_hot", classes); case("one_hot", classes, 6); case("pad", m, [1, 2]); case("pad", m, [0, 1, 2, 0], "constant", 1.5); case("pad", signal, [1, 1], "reflect")

# arithmetic
case("add", m, n); case("add", m, row); case("add", m, 2.5); case("add", m, n, alpha=-2); case("add", ints, 3); case("add", ints, 0.5); case("add", ints, ints2)
case("sub", m, n); case("sub", m, 1); case("sub", m, n, alpha=3); case("rsub", m, 2); case("rsub", m, n); case("mul", m, n); case("mul", m, col); case("mul", m, -1.5)
case("div", m, p); case("div", m, 4); case("div", m, p, rounding_mode="floor"); case("div", ints, ints2); case("div", ints, ints2, rounding_mode="trunc")
case("remainder", m, p); case("remainder", ints, ints2); case("remainder", m, 0.7); case("remainder", 7, ints2)
case("pow", p, 2.5); case("pow", p, n); case("pow", 2, m); case("pow", ints, 2); unary("neg abs sign square reciprocal sin cos erf exp expm1", m)
unary("log log1p log2 sqrt rsqrt", p); unary("floor ceil", m); case("round", m); case("round", m, decimals=1)
case("clamp", m, -0.5, 0.5); case("clamp", m, max=0.3); case("clamp", m, min=-0.2); case("clamp", m, n, p); case("clamp_min", m, 0.1); case("clamp_min", m, n)
case("clamp_max", m, 0.1); case("clamp_max", m, n); case("minimum", m, n); case("maximum", m, row); case("lerp", m, n, 0.3); case("lerp", m, n, share)

# comparison and logic
for name in "eq ne lt le gt ge".split():
    case(name, ints, ints2); case(name, m, 0); case(name, m, row)
case("logical_and", mask, mask2); case("logical_or", mask, mask2); unary("logical_not", mask, ints); unary("isnan isinf isfinite", odd)
case("equal", m, m); case("equal", m, n); case("allclose", m, m); case("allclose", m, n); case("allclose", odd, odd, equal_nan=True)
for name in ("any", "all"):
    case(name, mask); case(name, mask, 0); case(name, mask, 1, True)

# reduction
for name in ("sum", "mean"):
    case(name, c); case(name, c, [1]); case(name, c, [0, 2], True); case(name, single, [0])
case("sum", ints); case("sum", mask); case("prod", m); case("prod", m, 1); case("prod", m, 0, True)
for name in ("var", "std"):
    case(name, m); case(name, m, [1]); case(name, m, [0], correction=0); case(name, m, [0, 1], correction=1, keepdim=True)
for name in ("max", "min"):
    case(name, m); case(name, m, 1); case(name, m, 0, True); case(name, m, n)
for name in ("amax", "amin"):
    case(name, m); case(name, m, [1]); case(name, m, [0], True)
for name in ("argmax", "argmin"):
    case(name, m); case(name, m, 1); case(name, m, 0, True)
case("norm", m); case("norm", m, 1); case("norm", m, 2, [1]); case("norm", m, 2, [0], True); case("logsumexp", long_, [1]); case("logsumexp", m, [0, 1], True)
case("logaddexp", m, n); case("cumsum", m, 1); case("cumsum", ints, 0); case("sort", m); case("sort", m, 0, True); case("argsort", m); case("argsort", m, 0, True)
case("argsort", counts, stable=True); case("topk", m, 2); case("topk", m, 2, 0, False); case("topk", v, 1, 0, True, True); case("bincount", counts)
case("bincount", counts, w, 6); case("quantile", m, 0.3); case("quantile", m, 0.5, 1, True); case("quantile", m, levels, 0); case("median", v); case("median", m, 1)

# linear algebra
case("mm", m, square); case("bmm", c, d); case("matmul", m, square); case("matmul", c, d); case("matmul", m, row); case("matmul", row, row); case("addmm", shift4, m, square)
case("addmm", shift4, m, square, beta=0.5, alpha=2); case("linear", c, m); case("linear", c, square, shift4); case("dot", v, w); case("outer", v, row)

# networks
unary("relu silu sigmoid tanh gelu", m); case("gelu", m, approximate="tanh"); case("leaky_relu", m); case("leaky_relu", m, 0.2); case("elu", m); case("elu", m, 0.5)
case("softplus", m); case("softplus", m, 2, 1); case("softmax", m, 1); case("softmax", m, 0); case("softmax", single, -1); case("softmax", long_, -1)
case("log_softmax", m, 1); case("log_softmax", long_, -1); case("dropout", m, 0.5, False); case("embedding", table, tokens); case("embedding", table, tokens, 2)
case("scaled_dot_product_attention", query, key, value); case("scaled_dot_product_attention", query, query, query, is_causal=True)
case("scaled_dot_product_attention", query, key, value, scale=0.3); case("layer_norm", c, [4]); case("layer_norm", c, [4], scale4, shift4, 1e-3); case("layer_norm", c, [3, 4])
case("batch_norm", m, scale4, shift4, mean4, var4, False, 0.1, 1e-5, False); case("batch_norm", image, scale4, shift4, mean4, var4, True, 0.1, 1e-5, False)
case("conv1d", signal, kernel1, bias6, [2], [1], [1], 2); case("conv2d", image, kernel, groups=2); case("conv2d", image, kernel, bias6, [2, 1], [1, 0], [1, 2], 2)
case("max_pool2d", image, [2, 2]); case("max_pool2d", image, [3, 2], [2, 1], [1, 1]); case("avg_pool2d", image, [2, 2]); case("avg_pool2d", image, [3, 3], [2, 2], [1, 1], True, False)
case("adaptive_avg_pool2d", image, [2, 3]); case("adaptive_avg_pool2d", image, [1, 1])

# losses
case("cross_entropy_loss", logits, classes); case("cross_entropy_loss", logits, classes, reduction=0); case("cross_entropy_loss", logits, classes, weight4, 2, -100, 0.1)
case("cross_entropy_loss", logits, classes2); case("nll_loss", logits, classes); case("nll_loss", logits, classes, weight4, 0)
case("mse_loss", m, n); case("mse_loss", m, n, 2); case("l1_loss", m, n); case("l1_loss", m, n, 0); case("kl_div", m, unit); case("kl_div", m, n, 2, log_target=True)
case("binary_cross_entropy_with_logits", m, unit); case("binary_cross_entropy_with_logits", m, unit, weight4, var4, 0)
case("cosine_similarity", m, n); case("cosine_similarity", m, n, 0, 1e-6)

# in place: replayed on a copy of the first input
case("copy_", m, n); case("copy_", m, row); case("zero_", m); case("fill_", m, 2.5); case("fill_", m, zero); case("add_", m, n); case("add_", m, n, alpha=-0.5)
case("sub_", m, row); case("mul_", m, 3); case("mul_", m, n); case("div_", m, p); case("clamp_", m, -0.5, 0.5); case("lerp_", m, n, 0.3); case("lerp_", m, n, share)
case("index_copy_", m, 0, rows, two); case("index_add_", m, 0, rows, two, alpha=2); case("masked_fill_", m, mask, 9); case("masked_fill_", m, mask, zero)

# random, from a fixed seed; fewer than 16 numbers, because more are made another way on some processors
case("rand", [3, 2]); case("rand", [2], dtype=f8); case("randn", [3, 4]); case("randint", 5, [4]); case("randint", 2, 9, [3, 2]); case("randperm", 6)
case("rand_like", m); case("randn_like", m); case("multinomial", weight4, 3); case("bernoulli", unit); case("bernoulli", m, 0.4)
case("uniform_", m, -1, 2); case("normal_", m, 1, 0.5)


def torch_value(value, inputs):
    if isinstance(value, T):
        return inputs[value]
    return [torch_value(one, inputs) for one in value] if isinstance(value, list) else value


def json_value(value):
    if isinstance(value, T):
        return {"tensor": str(value)}
    if isinstance(value, torch.dtype):
        return NAMES[value]
    return [json_value(one) for one in value] if isinstance(value, list) else value


def names_in(value):
    if isinstance(value, T):
        return [str(value)]
    return [name for one in value for name in names_in(one)] if isinstance(value, list) else []


def tensors_of(result):
    """The results as (kind, list of tensors or plain values)."""
    if isinstance(result, torch.Tensor):
        return "tensor", [result]
    if isinstance(result, list):
        return "list", result
    if isinstance(result, tuple):
        return "several", list(result)
    return "plain", [result]


def tensor_as_number(schema, args):
    """PyTorch reads a 0-dim tensor as a number where it must, and loses its gradient; Gradus does not."""
    return any(isinstance(a, T) and str(s.type) == "number" for a, s in zip(args, schema.arguments))


CONSTANT = {"mean4", "var4", "weight4"}  # that operators have no derivative by


def fresh(op, args, kwargs):
    inputs = {name: POOL[name].clone() for value in args + list(kwargs.values()) for name in names_in(value)}
    for name, tensor in inputs.items():
        tensor.requires_grad_(tensor.is_floating_point() and name not in CONSTANT and not op.endswith("_"))
    return inputs


def run(call, op, args, kwargs):
    inputs = fresh(op, args, kwargs)
    torch.manual_seed(7)
    return inputs, call(*[torch_value(a, inputs) for a in args], **{k: torch_value(v, inputs) for k, v in kwargs.items()})


def same(a, b):
    (kind_a, list_a), (kind_b, list_b) = tensors_of(a), tensors_of(b)
    equal = lambda x, y: x.dtype == y.dtype and torch.equal(x.nan_to_num(), y.nan_to_num()) if isinstance(x, torch.Tensor) else x == y
    return kind_a == kind_b and len(list_a) == len(list_b) and all(map(equal, list_a, list_b))


def main():
    known = overloads()
    stored, calls = {f"in.{name}": tensor for name, tensor in POOL.items()}, []
    for number, (op, args, kwargs) in enumerate(CASES):
        inputs, result = run(getattr(torch.ops.aten, known[op][0].partition(".")[0]), op, args, kwargs)
        full = known[op][0]  # also where only Gradus takes a number for a tensor
        for overload in known[op]:
            if tensor_as_number(resolve(overload)._schema, args):
                continue
            try:
                own_inputs, own = run(resolve(overload), op, args, kwargs)
            except (RuntimeError, TypeError):
                continue
            assert same(result, own), f"{op} {args}: PyTorch takes another overload than {overload}"
            full, inputs, result = overload, own_inputs, own
            break
        schema = resolve(full)._schema
        kind, results = tensors_of(result)
        one = {"op": op, "args": [json_value(a) for a in args], "kwargs": {k: json_value(v) for k, v in kwargs.items()},
               "names": [a.name for a in schema.arguments][: len(args)], "kind": kind, "n": len(results), "grads": []}
        if kind == "plain":
            one["value"] = results[0]
        else:
            loss = 0
            for i, tensor in enumerate(results):
                stored[f"{number}.out{i}"] = tensor.detach().clone().contiguous()
                if tensor.requires_grad:
                    # the weights that ops_spec.lua gives the results too
                    weight = torch.cos(torch.arange(tensor.numel(), dtype=f8)).reshape(tensor.shape)
                    loss = loss + (tensor * weight).sum()
            if isinstance(loss, torch.Tensor) and op not in ("bincount", "bernoulli"):  # which have no derivative
                loss.backward()
                for name, tensor in inputs.items():
                    if tensor.grad is not None:
                        stored[f"{number}.grad.{name}"] = tensor.grad.contiguous()
                        one["grads"].append(name)
        calls.append(one)
    write_safetensors(HERE / "ops.safetensors", stored)
    lines = ",\n".join(json.dumps(one, sort_keys=True) for one in calls)
    (HERE / "ops.json").write_text("[\n" + lines + "\n]\n")
    print(len(calls), "calls of", len({one["op"] for one in calls}), "operators")
    write_printed()


def write_safetensors(path, tensors):
    header, blob = {}, b""
    for name, tensor in sorted(tensors.items()):
        data = tensor.detach().contiguous().numpy().tobytes()
        header[name] = {"dtype": DTYPES[tensor.dtype], "shape": list(tensor.shape), "data_offsets": [len(blob), len(blob) + len(data)]}
        blob += data
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    path.write_bytes(struct.pack("<Q", len(text)) + text + blob)


def write_printed():
    inf, nan = float("inf"), float("nan")
    generator = torch.Generator().manual_seed(3)
    rand = lambda *size: torch.randn(*size, generator=generator)
    tensors = [
        torch.tensor(3.0), torch.tensor(0.1), torch.tensor(-7), torch.tensor(True), torch.tensor([]), torch.zeros(2, 0), torch.tensor([1.0, 2, 3]),
        torch.tensor([1.5, -2.25]), torch.tensor([1, -20, 300]), torch.tensor([True, False]), torch.tensor([[1.0, 2], [3, 4]]), rand(2, 3), rand(2, 2, 2),
        rand(2, 1, 2, 2), torch.tensor([1e-5, 1.0]), torch.tensor([1e-6, 2e-6]), torch.tensor([1e9, 1.0]), torch.tensor([123456.0, 1.0]),
        torch.tensor([1000.5, 0.1]), torch.tensor([nan, 1.5, inf]), torch.tensor([nan, 1.0, -inf]), torch.tensor([1e10]), torch.arange(1001),
        torch.arange(30).reshape(2, 15), torch.arange(1200).reshape(30, 40), rand(26, 40), torch.linspace(0, 1, 11), torch.zeros(12, 12),
        torch.tensor([0.0, 1e-10]), torch.tensor([1.0, 2.5], dtype=torch.float64), torch.tensor([1, 2], dtype=torch.int32), rand(25) * 1000,
        torch.arange(2000.0).reshape(2, 10, 100), torch.tensor([0.5], requires_grad=True), -torch.zeros(2), torch.tensor([99999999.0, 1.0]),
        torch.arange(1.0, 41), rand(6, 9, 20), torch.full((3,), nan), torch.tensor([-inf]),
        # each limit met exactly, and just missed
        torch.tensor([1000.0, 1.0, 0.5]), torch.tensor([1.0, 1000.5]), torch.tensor([1000.0, 1.0]), torch.tensor([1e8]), torch.tensor([100000008.0]),
        torch.tensor([1e-4, 1e-4], dtype=f8), torch.tensor([0.99e-4], dtype=f8), torch.tensor([0.0]), torch.tensor([inf, -inf, 0.0]), torch.tensor([nan, 0.0, -2.0]),
        torch.arange(1000), torch.arange(1000.0) / 7, torch.arange(1002).reshape(167, 6), torch.arange(1001).reshape(143, 7), torch.arange(1050).reshape(7, 6, 25),
        torch.arange(1029).reshape(3, 7, 7, 7), torch.tensor([[True, False], [False, False]]), torch.ones(1001, dtype=torch.bool), torch.zeros(3, 1, 2),
        # what is told behind the values, where it fits the line and where it does not
        torch.arange(20, dtype=torch.int32), torch.arange(17, dtype=torch.int32), torch.arange(18.0, dtype=f8), torch.arange(1.0, 13, dtype=f8, requires_grad=True),
        torch.zeros(0, 3, dtype=torch.int32), torch.zeros(0, dtype=f8), torch.zeros(2, 0, 3, dtype=f8, requires_grad=True), torch.zeros(0, dtype=torch.bool), torch.zeros(0, dtype=torch.int64),
        torch.tensor(2.5, dtype=f8, requires_grad=True), torch.eye(3, dtype=f8), torch.eye(2, requires_grad=True),
    ] + [torch.arange(1.0, n + 1, dtype=f8) for n in (9, 10, 12, 13)]  # of 11 the line takes 'float64', not 'torch.float64'
    tensors += [(torch.arange(float(n)) + 100).requires_grad_() for n in range(7, 13)]
    rows = []
    for tensor in tensors:
        flat = [f"{one:.9g}" for one in tensor.detach().double().flatten().tolist()]
        rows.append({"values": flat, "shape": list(tensor.shape), "dtype": NAMES[tensor.dtype], "requires_grad": tensor.requires_grad, "text": str(tensor)})
    (HERE / "printed.json").write_text("[\n" + ",\n".join(json.dumps(one) for one in rows) + "\n]\n")


if __name__ == "__main__":
    main()
