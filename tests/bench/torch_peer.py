"""PyTorch's side of a row: torch_peer.py eager|compile WORK (JSON). torch.compile compiles forward and loss, and its
optimizer is the fused one."""
import json
import sys

import torch
import torch.nn as nn
import torch.nn.functional as F

from rows import ALPHA, LR, TEMPERATURE
from worker import serve


def mlp(sizes):
    layers = []
    for a, b in zip(sizes, sizes[1:]):
        layers += [nn.Linear(a, b), nn.ReLU()]
    return nn.Sequential(*layers[:-1])


class Encoder(nn.Module):
    def __init__(self, work):
        super().__init__()
        width = work["width"]
        self.vocabulary = work.get("vocabulary")
        if self.vocabulary:
            self.token = nn.Embedding(self.vocabulary, width)
        layer = nn.TransformerEncoderLayer(width, work["heads"], 4 * width, dropout=0.0, batch_first=True)
        self.encoder = nn.TransformerEncoder(layer, work["layers"])
        self.head = nn.Linear(width, self.vocabulary or work["classes"])

    def forward(self, x):
        if self.vocabulary:
            return self.head(self.encoder(self.token(x)))
        return self.head(self.encoder(x).mean(1))


def cnn():
    return nn.Sequential(nn.Conv2d(1, 16, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(16, 32, 3, padding=1), nn.ReLU(),
                         nn.MaxPool2d(2), nn.Flatten(), nn.Linear(1568, 10))


def kd_loss(logits, teacher, target):
    ce = F.cross_entropy(logits, target)
    kl = F.kl_div(F.log_softmax(logits / TEMPERATURE, -1), F.softmax(teacher / TEMPERATURE, -1), reduction="batchmean")
    return ALPHA * ce + (1 - ALPHA) * TEMPERATURE ** 2 * kl


def build(work):
    """The model, the input, and a function from the input to the teacher's logits."""
    kind, batch = work["kind"], work["batch"]
    if kind in ("mlp", "cached", "distillation"):
        x, sizes = torch.randn(batch, work["sizes"][0]), work["sizes"]
        logits = torch.randn(batch, sizes[-1])
        teacher = mlp(work["teacher"]) if "teacher" in work else lambda _: logits
        return mlp(sizes), x, teacher, torch.randint(sizes[-1], (batch,))
    if kind == "cnn":
        logits = torch.randn(batch, 10)
        return cnn(), torch.randn(batch, 1, 28, 28), lambda _: logits, torch.randint(10, (batch,))
    length, width = work["length"], work["width"]
    if kind == "encoder":
        logits = torch.randn(batch, work["classes"])
        return Encoder(work), torch.randn(batch, length, width), lambda _: logits, torch.randint(work["classes"], (batch,))
    classes = work["vocabulary"]
    hidden, head = torch.randn(batch * length, width), torch.randn(classes, width) / 16
    tokens = torch.randint(classes, (batch, length))
    return Encoder(work), tokens, lambda _: hidden @ head.t(), torch.randint(classes, (batch * length,))


def chain(work):
    layer, x, alpha = nn.Linear(1, 1), torch.ones(1, 1), torch.tensor(ALPHA, dtype=torch.float64)

    @torch.no_grad()
    def advance(steps):
        for _ in range(steps):
            y = x
            for _ in range(work["operators"]):
                y = layer(y) if work["own"] else y * alpha
        return y.item()
    return advance


def parity(work, k=5):
    """A fresh batch of sparse parity."""
    x = torch.randint(0, 2, (work["batch"], work["sizes"][0])) * 2 - 1
    return x.float(), (x[:, :k].prod(1) < 0).long()


def main():
    mode, work = sys.argv[1], json.loads(sys.argv[2])
    torch.manual_seed(0)
    if work["kind"] == "chain":
        return serve(chain(work))
    model, x, teacher, target = build(work)
    fused = {"fused": True} if mode == "compile" else {}
    if work.get("optimizer") == "SGD":
        optimizer = torch.optim.SGD(model.parameters(), lr=LR, **fused)
    else:
        optimizer = torch.optim.AdamW(model.parameters(), lr=LR, **fused)
    bf16 = work.get("dtype") == "bfloat16"

    def forward(x, target):
        with torch.no_grad():
            soft = teacher(x)
        with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
            logits = model(x)
        return kd_loss(logits.float().flatten(0, -2), soft, target)

    if mode == "compile":
        forward = torch.compile(forward)

    def advance(steps):
        for _ in range(steps):
            optimizer.zero_grad()
            loss = forward(*(parity(work) if work["kind"] == "distillation" else (x, target)))
            loss.backward()
            optimizer.step()
        return loss.item()

    if work.get("startup"):
        advance(1)
        print('@{"ready": true}', flush=True)
    else:
        serve(advance)


main()
