"""Writes own_losses.json: values and gradients of the losses of distillation's literature, from PyTorch alone, in double precision.

    python3 tests/stdlib/training/data/make_own_loss_reference.py        (PyTorch 2.13)

A teacher 8-16-16-5, a student 8-12-12-5 (a second pair with one output, for regression to one number), a batch of 6 rows, and a
learnt linear map from the student's width to the teacher's where a loss needs one. Features are what follows a ReLU: the module
`layers.1` or `layers.3`. Where rows have weights a mean over rows is sum(w * row) / sum(w); rows of tokens have the weight of
their sequence at each position that is not padding (label -100).
"""
import json
import pathlib

import torch
import torch.nn as nn
import torch.nn.functional as F

HERE = pathlib.Path(__file__).parent
ROWS, CLASSES = 6, 5
torch.set_default_dtype(torch.float64)


def plain(tensor):
    return {"shape": list(tensor.shape), "values": tensor.detach().double().flatten().tolist()}


def plain_all(tensors):
    return {name: plain(tensor) for name, tensor in tensors}


class MLP(nn.Module):
    """nn.MLP { inputs, …, outputs } of Gradus: the same modules under the same names, and what each of them returned."""

    def __init__(self, *sizes):
        super().__init__()
        items = []
        for i in range(1, len(sizes)):
            items += [nn.Linear(sizes[i - 1], sizes[i])] + ([nn.ReLU()] if i + 1 < len(sizes) else [])
        self.layers = nn.Sequential(*items)

    def forward(self, x):
        self.features = {}
        for i, layer in enumerate(self.layers):
            x = self.features[f"layers.{i}"] = layer(x)
        return x


torch.manual_seed(5)
teacher, student, projection = MLP(8, 16, 16, CLASSES), MLP(8, 12, 12, CLASSES), nn.Linear(12, 16)
teacher_one, student_one = MLP(8, 16, 16, 1), MLP(8, 12, 12, 1)
for module in (teacher, teacher_one):
    for parameter in module.parameters():
        parameter.requires_grad_(False).mul_(2)  # a surer teacher: losses that matter
x = torch.randn(ROWS, 8)
y = torch.tensor([0, 3, 1, 4, 2, 3])
soft = F.softmax(torch.randn(ROWS, CLASSES), -1)
multi = (torch.rand(ROWS, CLASSES) < 0.4).double()
numbers, vectors = torch.randn(ROWS), torch.randn(ROWS, CLASSES)
weights = torch.tensor([1.0, 0.5, 2.0, 0.0, 1.5, 0.25])
token_student, token_teacher = torch.randn(ROWS, 3, CLASSES), 2 * torch.randn(ROWS, 3, CLASSES)
token_labels = torch.tensor([[0, 3, -100], [1, 1, 4], [2, -100, -100], [4, 0, 3], [-100, -100, -100], [3, 2, 2]])


def mean(rows, w):
    return rows.mean() if w is None else (w * rows).sum() / w.sum()


# --- terms on logits; each returns one value a row

def cross_entropy(s, target, smoothing=0.0):
    if not target.is_floating_point():
        target = F.one_hot(target, s.shape[-1]).double()
    target = target * (1 - smoothing) + smoothing / s.shape[-1]
    return -(target * F.log_softmax(s, -1)).sum(-1)


def kl(log_p, log_q):
    return (log_p.exp() * (log_p - log_q)).sum(-1)


def forward_kl(s, t, T):
    return T * T * kl(F.log_softmax(t / T, -1), F.log_softmax(s / T, -1))


def reverse_kl(s, t, T):
    return T * T * kl(F.log_softmax(s / T, -1), F.log_softmax(t / T, -1))


def jsd(s, t, T, beta):
    """Agarwal et al. 2024: beta KL(P || M) + (1 - beta) KL(Q || M), M = beta P + (1 - beta) Q; P the teacher, Q the student."""
    log_p, log_q = F.log_softmax(t / T, -1), F.log_softmax(s / T, -1)
    log_m = (beta * log_p.exp() + (1 - beta) * log_q.exp()).log()
    return T * T * (beta * kl(log_p, log_m) + (1 - beta) * kl(log_q, log_m))


def kd(s, t, target, T, alpha):
    """Hinton et al. 2015: alpha CE + (1 - alpha) T^2 KL(teacher || student)."""
    return alpha * cross_entropy(s, target) + (1 - alpha) * forward_kl(s, t, T)


def decoupled(s, t, target, T, alpha, beta):
    """Zhao et al. 2022, equation 7: T^2 (alpha TCKD + beta NCKD). TCKD: KL of [target, all others]; NCKD: KL among the others."""
    true = F.one_hot(target, s.shape[-1]).bool()

    def split(logits):
        p = F.softmax(logits / T, -1)
        others = (logits / T)[~true].reshape(len(logits), -1)
        return torch.stack([p[true], p[~true].reshape(len(p), -1).sum(-1)], -1), F.log_softmax(others, -1)

    (b_s, others_s), (b_t, others_t) = split(s), split(t)
    return T * T * (alpha * kl(b_t.log(), b_s.log()) + beta * kl(others_t, others_s))


def multilabel(s, t, target, T, alpha):
    """alpha BCE(s, y) + (1 - alpha) T^2 BCE(s / T, sigmoid(t / T)), each the mean over the labels of a row."""
    hard = F.binary_cross_entropy_with_logits(s, target, reduction="none").mean(-1)
    soft_ = F.binary_cross_entropy_with_logits(s / T, torch.sigmoid(t / T), reduction="none").mean(-1)
    return alpha * hard + (1 - alpha) * T * T * soft_


def regression(s, t, target, alpha):
    """alpha (s - y)^2 + (1 - alpha) (s - t)^2, each the mean over the numbers of a row."""
    s, t, target = (v.reshape(ROWS, -1) for v in (s, t, target))
    return alpha * (s - target).square().mean(-1) + (1 - alpha) * (s - t).square().mean(-1)


# --- terms on features

def hint(s, t):
    """FitNets (Romero et al. 2015), equation 3, with the mean over the units: || regressor(student) - teacher ||^2 / width."""
    return (projection(s) - t).square().mean(-1)


def cosine(s, t):
    """DistilBERT (Sanh et al. 2019): 1 - cos(student, teacher). Theirs are of one width; here the student's is mapped first."""
    return F.cosine_embedding_loss(projection(s), t, torch.ones(ROWS), reduction="none")


def huber(a, b):
    return F.huber_loss(a, b, delta=1.0)  # mean over all entries


def pairwise(e):
    d = torch.cdist(e, e, compute_mode="donot_use_mm_for_euclid_dist")
    return d / d[d > 0].mean()  # mu: the mean over pairs of two different rows


def distance_wise(s, t):
    """Park et al. 2019, equations 6 to 8; the mean over all ordered pairs, a row with itself included, as in the authors' code."""
    return huber(pairwise(s), pairwise(t))


def angles(e):
    v = F.normalize(e.unsqueeze(0) - e.unsqueeze(1), dim=-1)  # [j, i]: from row j to row i
    return v @ v.transpose(1, 2)


def angle_wise(s, t):
    """Park et al. 2019, equations 9 to 11; the mean over all ordered triples."""
    return huber(angles(s), angles(t))


# --- cases

def case(name, compute, net=student, options=None, weighted=False, learnt=False):
    trained = [(f"student.{k}", p) for k, p in net.named_parameters()]
    trained += [(f"projection.{k}", p) for k, p in projection.named_parameters()] if learnt else []
    for _, p in trained:
        p.grad = None
    value = compute(weights if weighted else None)
    value.backward()
    grads = {k: plain(torch.zeros_like(p) if p.grad is None else p.grad) for k, p in trained}
    return {"name": name, "options": options or {}, "weighted": weighted, "single": net is student_one, "value": value.item(), "grads": grads}


def both(name, row, **more):
    """A case without weights, and one with."""
    return [case(name, lambda w: mean(row(), w), weighted=weighted, **more) for weighted in (False, True)]


def logits(row, net=student, guide=teacher):
    return lambda: row(net(x), guide(x))


def features(compute, layer):
    def run():
        student(x), teacher(x)
        return compute(student.features[layer], teacher.features[layer])
    return run


def token_case(name, row, options, weighted):
    s = token_student.clone().requires_grad_()
    counted = token_labels.ne(-100)
    w = counted * (weights.unsqueeze(-1) if weighted else torch.ones(ROWS, 1))
    value = (w * row(s, token_teacher, token_labels.clamp_min(0))).sum() / w.sum()
    value.backward()
    return {"name": name, "options": options, "weighted": weighted, "value": value.item(), "grads": {"logits": plain(s.grad)}}


cases = (
    both("kd", logits(lambda s, t: kd(s, t, y, 4, 0.7)), options={"temperature": 4, "alpha": 0.7})
    + both("kl", logits(lambda s, t: forward_kl(s, t, 2)), options={"temperature": 2})
    + both("reverse_kl", logits(lambda s, t: reverse_kl(s, t, 2)), options={"temperature": 2})
    + both("jsd", logits(lambda s, t: jsd(s, t, 2, 0.5)), options={"temperature": 2, "beta": 0.5})
    + both("jsd", logits(lambda s, t: jsd(s, t, 1, 0.2)), options={"temperature": 1, "beta": 0.2})
    + both("labels", logits(lambda s, t: cross_entropy(s, y)))
    + both("labels smoothed", logits(lambda s, t: cross_entropy(s, y, 0.1)), options={"label_smoothing": 0.1})
    + both("soft labels", logits(lambda s, t: cross_entropy(s, soft)))
    + both("soft labels smoothed", logits(lambda s, t: cross_entropy(s, soft, 0.1)), options={"label_smoothing": 0.1})
    + both("soft labels kd", logits(lambda s, t: kd(s, t, soft, 4, 0.7)), options={"temperature": 4, "alpha": 0.7})
    + both("multilabel", logits(lambda s, t: multilabel(s, t, multi, 2, 0.6)), options={"temperature": 2, "alpha": 0.6})
    + both("regression [N]", logits(lambda s, t: regression(s, t, numbers, 0.6), student_one, teacher_one),
           net=student_one, options={"alpha": 0.6})
    + both("regression [N, 1]", logits(lambda s, t: regression(s, t, numbers.unsqueeze(-1), 0.6), student_one, teacher_one),
           net=student_one, options={"alpha": 0.6})
    + both("regression [N, D]", logits(lambda s, t: regression(s, t, vectors, 0.6)), options={"alpha": 0.6})
    + both("decoupled", logits(lambda s, t: decoupled(s, t, y, 4, 1, 8)), options={"temperature": 4, "alpha": 1, "beta": 8})
    + both("hint", features(hint, "layers.1"), learnt=True)
    + both("cosine", features(cosine, "layers.3"), learnt=True)
    + [case("distance_wise", lambda w: features(distance_wise, "layers.3")()),
       case("angle_wise", lambda w: features(angle_wise, "layers.3")())]
)
tokens = [token_case(name, row, options, weighted) for weighted in (False, True) for name, row, options in (
    ("kd", lambda s, t, y: kd(s, t, y, 4, 0.7), {"temperature": 4, "alpha": 0.7}),
    ("labels", lambda s, t, y: cross_entropy(s, y), {}),
    ("kl", lambda s, t, y: forward_kl(s, t, 2), {"temperature": 2}),
    ("reverse_kl", lambda s, t, y: reverse_kl(s, t, 2), {"temperature": 2}),
    ("jsd", lambda s, t, y: jsd(s, t, 2, 0.5), {"temperature": 2, "beta": 0.5}))]


def trajectory(steps=20, T=4, alpha=0.7, share=0.3):
    """Student and projection under kd + 0.3 hint: AdamW, a constant rate, the whole batch in each step, no clipping."""
    start = {k: v.clone() for k, v in student.state_dict().items()}, {k: v.clone() for k, v in projection.state_dict().items()}
    optimizer = torch.optim.AdamW([*student.parameters(), *projection.parameters()], lr=1e-2, weight_decay=0.01)
    values = []
    for _ in range(steps):
        optimizer.zero_grad()
        s, t = student(x), teacher(x)
        value = mean(kd(s, t, y, T, alpha), None) + share * mean(hint(student.features["layers.1"], teacher.features["layers.1"]), None)
        value.backward()
        optimizer.step()
        values.append(value.item())
    found = {"steps": steps, "lr": 1e-2, "weight_decay": 0.01, "temperature": T, "alpha": alpha, "hint": share, "losses": values,
             "student": plain_all(student.state_dict().items()), "projection": plain_all(projection.state_dict().items())}
    student.load_state_dict(start[0]), projection.load_state_dict(start[1])
    return found


data = {
    "teacher": plain_all(teacher.state_dict().items()), "student": plain_all(student.state_dict().items()),
    "projection": plain_all(projection.state_dict().items()),
    "teacher_one": plain_all(teacher_one.state_dict().items()), "student_one": plain_all(student_one.state_dict().items()),
    "x": plain(x), "y": plain(y), "soft": plain(soft), "multi": plain(multi), "numbers": plain(numbers), "vectors": plain(vectors),
    "weights": plain(weights), "cases": cases,
    "tokens": {"student": plain(token_student), "teacher": plain(token_teacher), "y": plain(token_labels), "cases": tokens},
    "trajectory": trajectory(),
}
(HERE / "own_losses.json").write_text(json.dumps(data, separators=(",", ":")) + "\n")
