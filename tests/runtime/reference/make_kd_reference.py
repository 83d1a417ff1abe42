"""Writes kd_reference.json: distillation losses and their gradients as PyTorch's own functions compute them.

    python3 tests/runtime/reference/make_kd_reference.py        (PyTorch 2.13, double precision)
"""
import json
import pathlib

import torch
import torch.nn.functional as F

torch.manual_seed(7)
torch.set_default_dtype(torch.float64)


def case(name, n, c, length=None, teacher=True, target="classes", temperature=4.0, alpha=0.7, teacher_temperature=None,
         smoothing=0.0, ignored=0, t2=True, reverse=False, scale=2.0):
    shape = (n, c) if length is None else (n, length, c)
    student = (torch.randn(shape) * scale).requires_grad_()
    t_logits = torch.randn(shape) * scale if teacher else None
    rows = student.reshape(-1, c)
    labels = probabilities = None
    if target == "classes":
        labels = torch.randint(c, shape[:-1])
        labels.reshape(-1)[:ignored] = -100
        y = labels.reshape(-1)
    elif target == "probabilities":
        probabilities = torch.softmax(torch.randn(shape), -1)
        y = probabilities.reshape(-1, c)
    t = torch.tensor(temperature)
    loss = ce = kl = torch.zeros(())
    if target:
        ce = F.cross_entropy(rows, y, label_smoothing=smoothing)
        loss = ce
    if teacher:
        t_row = t.reshape(-1, 1)
        tt = torch.tensor(teacher_temperature).reshape(-1, 1) if teacher_temperature else t_row
        log_q = F.log_softmax(rows / t_row, -1)
        log_p = F.log_softmax(t_logits.reshape(-1, c) / tt, -1)
        pair = (log_p, log_q) if reverse else (log_q, log_p)
        per_row = F.kl_div(*pair, reduction="none", log_target=True).sum(-1)
        keep = labels.reshape(-1) != -100 if labels is not None else torch.ones(len(rows), dtype=torch.bool)
        kl = per_row[keep].mean()
        scaled = ((t.reshape(-1).expand(len(rows)) ** 2 if t2 else 1) * per_row)[keep].mean()
        loss = alpha * ce + (1 - alpha) * scaled if target else scaled
    loss.backward()
    return {
        "name": name, "shape": list(shape), "student": student.detach().flatten().tolist(),
        "teacher": t_logits.flatten().tolist() if teacher else None,
        "labels": labels.flatten().tolist() if labels is not None else None,
        "probabilities": probabilities.flatten().tolist() if probabilities is not None else None,
        "temperature": temperature if isinstance(temperature, list) else [temperature], "alpha": alpha,
        "teacher_temperature": teacher_temperature, "label_smoothing": smoothing, "t2": t2, "reverse": reverse,
        "loss": loss.item(), "ce": ce.item(), "kl": kl.item(), "gradient": student.grad.flatten().tolist(),
    }


cases = [
    case("plain", 5, 10),
    case("two classes", 4, 2, temperature=2.0),
    case("more classes than one vector", 3, 37, temperature=8.0, alpha=0.3),
    case("per-sample temperature", 4, 6, temperature=[1.0, 2.0, 4.0, 8.5]),
    case("teacher temperature, no t2", 4, 6, temperature=1.0, teacher_temperature=0.5, t2=False),
    case("smoothing", 4, 7, smoothing=0.1),
    case("probabilities", 4, 7, target="probabilities"),
    case("probabilities, smoothing", 4, 7, target="probabilities", smoothing=0.2),
    case("labels only", 6, 5, teacher=False),
    case("teacher only", 6, 5, target=None),
    case("reverse", 5, 9, reverse=True, temperature=3.0),
    case("tokens, some ignored", 2, 11, length=4, ignored=3),
    case("tokens, ignored and smoothed", 2, 5, length=3, ignored=2, smoothing=0.1),
]
path = pathlib.Path(__file__).with_name("kd_reference.json")
path.write_text(json.dumps(cases, separators=(",", ":")) + "\n")
