"""Writes modules.json, optimizers.json and losses.json: what PyTorch's own modules, optimizers and functions compute.

    python3 tests/stdlib/data/make_torch_reference.py        (PyTorch 2.13)
"""
import json
import pathlib

import torch
import torch.nn as nn
import torch.nn.functional as F

HERE = pathlib.Path(__file__).parent


def plain(tensor):
    return {"shape": list(tensor.shape), "values": tensor.detach().double().flatten().tolist()}


def write(name, data):
    (HERE / name).write_text(json.dumps(data, separators=(",", ":")) + "\n")


# --- modules: initial weights for seed 0, forward, gradients of sum(out * (1, 2, 3, …) / size)

def module_case(name, make, x, train=True, steps=1):
    torch.manual_seed(0)
    module = make()
    module.train(train)
    initial = {key: plain(value) for key, value in module.state_dict().items()}
    if x.is_floating_point():
        x = x.clone().requires_grad_()
    for _ in range(steps):
        out = module(x)
    coefficients = torch.arange(1, out.numel() + 1).reshape(out.shape) / out.numel()
    (out * coefficients).sum().backward()
    return {"name": name, "train": train, "steps": steps, "initial": initial, "input": plain(x),
            "integer": not x.is_floating_point(), "output": plain(out),
            "input_grad": plain(x.grad) if x.is_floating_point() else None,
            "grads": {key: plain(p.grad) for key, p in module.named_parameters()},
            "after": {key: plain(value) for key, value in module.state_dict().items()}}


torch.manual_seed(1)
flat, image, sequence = torch.randn(4, 6), torch.randn(2, 2, 6, 6), torch.randn(2, 3, 6)
indices = torch.tensor([[0, 3, 6], [2, 2, 5]])
modules = [
    module_case("Linear", lambda: nn.Linear(6, 3), flat),
    module_case("Linear without bias", lambda: nn.Linear(6, 3, bias=False), sequence),
    module_case("Conv2d", lambda: nn.Conv2d(2, 3, 3), image),
    module_case("Conv2d with options", lambda: nn.Conv2d(2, 4, (3, 2), stride=2, padding=1, groups=2, bias=False), image),
    module_case("BatchNorm1d", lambda: nn.BatchNorm1d(6), flat, steps=2),
    module_case("BatchNorm1d evaluated", lambda: nn.BatchNorm1d(6), flat, train=False),
    module_case("BatchNorm2d", lambda: nn.BatchNorm2d(2, momentum=0.3), image, steps=2),
    module_case("LayerNorm", lambda: nn.LayerNorm(6), sequence),
    module_case("LayerNorm of two dims", lambda: nn.LayerNorm([3, 6], eps=1e-3), sequence),
    module_case("Embedding", lambda: nn.Embedding(7, 3), indices),
    module_case("Embedding with padding", lambda: nn.Embedding(7, 3, padding_idx=2), indices),
    module_case("ReLU", nn.ReLU, flat), module_case("GELU", nn.GELU, flat),
    module_case("GELU tanh", lambda: nn.GELU(approximate="tanh"), flat),
    module_case("Tanh", nn.Tanh, flat), module_case("Sigmoid", nn.Sigmoid, flat), module_case("SiLU", nn.SiLU, flat),
    module_case("LeakyReLU", lambda: nn.LeakyReLU(0.2), flat), module_case("Softmax", lambda: nn.Softmax(dim=1), flat),
    module_case("Flatten", nn.Flatten, image), module_case("Identity", nn.Identity, flat),
    module_case("Dropout evaluated", lambda: nn.Dropout(0.5), flat, train=False),
    module_case("MaxPool2d", lambda: nn.MaxPool2d(3, stride=2, padding=1), image),
    module_case("AvgPool2d", lambda: nn.AvgPool2d(2), image),
    module_case("AdaptiveAvgPool2d", lambda: nn.AdaptiveAvgPool2d((2, 3)), image),
    module_case("Sequential", lambda: nn.Sequential(nn.Linear(6, 5), nn.ReLU(), nn.Linear(5, 2)), flat),
]
write("modules.json", modules)

# --- optimizers: the same gradients each step, in double precision; parameter 2 has none at step 3

STEPS, RATES = 6, [0.1, 0.1, 0.05, 0.2, 0.0, 0.1]


def optimizer_case(name, make, options, clip=None):
    torch.manual_seed(2)
    shapes = [(3,), (2, 4), ()]
    params = [torch.randn(shape, dtype=torch.float64).requires_grad_() for shape in shapes]
    start = [plain(p) for p in params]
    optimizer = make(params, lr=0.1, **options)
    grads, path, norms = [], [], []
    for step in range(STEPS):
        now = [torch.randn(shape, dtype=torch.float64) * 2 for shape in shapes]
        grads.append([plain(g) for g in now])
        for i, (p, g) in enumerate(zip(params, now)):
            p.grad = None if (step == 2 and i == 1) else g.clone()
        if clip:
            norms.append(torch.nn.utils.clip_grad_norm_(params, clip).item())
        optimizer.param_groups[0]["lr"] = RATES[step]
        optimizer.step()
        path.append([plain(p) for p in params])
    return {"name": name, "kind": make.__name__, "options": {k: list(v) if isinstance(v, tuple) else v for k, v in options.items()},
            "start": start, "grads": grads, "rates": RATES, "path": path, "clip": clip, "norms": norms}


optimizers = [
    optimizer_case("plain", torch.optim.SGD, {}),
    optimizer_case("momentum", torch.optim.SGD, {"momentum": 0.9}),
    optimizer_case("nesterov", torch.optim.SGD, {"momentum": 0.9, "nesterov": True, "weight_decay": 0.1}),
    optimizer_case("dampening", torch.optim.SGD, {"momentum": 0.9, "dampening": 0.3}),
    optimizer_case("dampening and decay", torch.optim.SGD, {"momentum": 0.9, "dampening": 0.3, "weight_decay": 0.1}),
    optimizer_case("maximize", torch.optim.SGD, {"momentum": 0.5, "dampening": 0.3, "weight_decay": 0.1, "maximize": True}),
    optimizer_case("maximize, no dampening", torch.optim.SGD, {"momentum": 0.5, "weight_decay": 0.1, "maximize": True}),
    optimizer_case("decay", torch.optim.SGD, {"weight_decay": 0.1}),
    optimizer_case("clipped", torch.optim.SGD, {"momentum": 0.9}, clip=1.0),
    optimizer_case("plain", torch.optim.Adam, {}),
    optimizer_case("options", torch.optim.Adam, {"betas": (0.8, 0.95), "eps": 1e-4, "weight_decay": 0.1}),
    optimizer_case("clipped", torch.optim.Adam, {}, clip=2.0),
    optimizer_case("plain", torch.optim.AdamW, {}),
    optimizer_case("options", torch.optim.AdamW, {"betas": (0.8, 0.95), "eps": 1e-4, "weight_decay": 0.3, "maximize": True}),
]
write("optimizers.json", optimizers)

# --- losses of logits, in double precision

torch.manual_seed(3)
student, teacher = (torch.randn(5, 4, dtype=torch.float64) * 2 for _ in range(2))
features, wide = torch.randn(5, 3, dtype=torch.float64), torch.randn(5, 6, dtype=torch.float64)
matrix, labels = torch.randn(6, 3, dtype=torch.float64), torch.tensor([0, 3, 1, -100, 2])


def loss_case(name, x, compute):
    x = x.clone().requires_grad_()
    value = compute(x)
    value.backward()
    return {"name": name, "value": value.item(), "grad": plain(x.grad)}


def jsd(x, beta, t):
    p, q = F.softmax(teacher / t, -1), F.softmax(x / t, -1)
    m = beta * p + (1 - beta) * q
    return (beta * F.kl_div(m.log(), p, reduction="batchmean") + (1 - beta) * F.kl_div(m.log(), q, reduction="batchmean")) * t * t


def kl(x, t, reverse):
    log_q, log_p = F.log_softmax(x / t, -1), F.log_softmax(teacher / t, -1)
    pair = (log_p, log_q) if reverse else (log_q, log_p)
    return F.kl_div(*pair, reduction="batchmean", log_target=True) * t * t


write("losses.json", {
    "student": plain(student), "teacher": plain(teacher), "features": plain(features), "wide": plain(wide),
    "matrix": plain(matrix), "labels": plain(labels),
    "cases": [
        loss_case("jsd", student, lambda x: jsd(x, 0.5, 1.0)),
        loss_case("jsd with options", student, lambda x: jsd(x, 0.2, 3.0)),
        loss_case("kl", student, lambda x: kl(x, 2.0, False)),
        loss_case("reverse_kl", student, lambda x: kl(x, 2.0, True)),
        loss_case("cross_entropy", student, lambda x: F.cross_entropy(x, labels)),
        loss_case("cross_entropy smoothed", student, lambda x: F.cross_entropy(x, labels, label_smoothing=0.1)),
        loss_case("mse", student, lambda x: F.mse_loss(x, teacher)),
        loss_case("feature_mse", features, lambda x: F.mse_loss(x, wide @ matrix)),
    ],
})
