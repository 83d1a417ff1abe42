"""What hour.py's newcomer writes with PyTorch, Hydra, Optuna and MLflow for the work that Gradus has as scripts/quickstart.lua and
`gradus new`: a small student learns from a large teacher, under one of four curricula. One value of each metric is logged an epoch
(Gradus logs each step).

  python hour_peer.py strategy=stages seed=1          one run
  python hour_peer.py -m strategy=one_shot,stages seed=1,2,3
"""
import math
import os
import time
from dataclasses import asdict, dataclass

import hydra
import mlflow
import torch
from hydra.core.config_store import ConfigStore
from omegaconf import OmegaConf
from sklearn.datasets import load_digits
from torch.nn import functional as F

BATCH = 64
HERE = os.path.dirname(os.path.abspath(__file__))


@dataclass
class Config:
    strategy: str = "stages"
    width: int = 12
    epochs: int = 40
    teacher_epochs: int = 30
    alpha: float = 0.7
    lr: float = 3e-3
    seed: int = 1


ConfigStore.instance().store(name="config", node=Config)

# share of the ranked rows, temperature, augmentation; patience and share of the budget after which the stage ends
STAGES = [("easy", 0.3, 6.0, 0.8, 3, 0.3), ("medium", 0.7, 4.0, 0.5, 3, 0.6), ("hard", 1.0, 2.0, 0.2, None, 1.0)]


def mlp(sizes):
    layers = []
    for a, b in zip(sizes, sizes[1:]):
        layers += [torch.nn.Linear(a, b), torch.nn.ReLU()]
    return torch.nn.Sequential(*layers[:-1])


def digits(seed):
    data = load_digits()
    order = torch.randperm(len(data.target), generator=torch.Generator().manual_seed(seed))
    x, y = torch.tensor(data.data, dtype=torch.float32)[order] / 16, torch.tensor(data.target)[order]
    a, b = len(y) // 2, len(y) * 7 // 10
    return (x[:a], y[:a]), (x[a:b], y[a:b]), (x[b:], y[b:])


def evaluate(model, x, y):
    model.eval()
    with torch.no_grad():
        out = model(x)
    model.train()
    return F.cross_entropy(out, y).item(), (out.argmax(1) == y).float().mean().item()


def teacher_of(config, x, y):
    """Trained once for each seed and number of epochs."""
    path = os.path.join(HERE, f"teacher-{config.seed}-{config.teacher_epochs}.pt")
    model = mlp([64, 256, 10])
    if os.path.exists(path):
        model.load_state_dict(torch.load(path))
        return model.eval()
    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-3)
    for _ in range(config.teacher_epochs):
        for rows in torch.randperm(len(y)).split(BATCH):
            loss = F.cross_entropy(model(x[rows]), y[rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    torch.save(model.state_dict(), path)
    return model.eval()


def augmented(x, strength):
    if strength == 0:
        return x
    moved = torch.roll(x.view(-1, 8, 8), (int(torch.randint(-1, 2, ())), int(torch.randint(-1, 2, ()))), (1, 2)).view(-1, 64)
    return torch.where(torch.rand(len(x), 1) < strength, moved, x)


class Curriculum:
    """Which rows an epoch draws from, how likely each is, the temperature and the augmentation."""

    def __init__(self, config, ranked):
        self.config, self.ranked, self.stage, self.best, self.waited = config, ranked, 0, math.inf, 0
        self.confidence = torch.full((len(ranked),), 0.5)

    def epoch(self, progress):
        n = len(self.ranked)
        if self.config.strategy == "linear_ramp":
            share = min(1.0, 0.2 + 0.8 * progress / 0.6)
            return self.ranked[:max(1, int(share * n))], None, 4.0, 0.5 * share
        if self.config.strategy == "confidence":
            return torch.arange(n), 1.05 - (2 * self.confidence - 1).abs(), 4.0, 0.0
        if self.config.strategy == "stages":
            _, share, temperature, strength, _, _ = STAGES[self.stage]
            return self.ranked[:max(1, int(share * n))], None, temperature, strength
        return torch.arange(n), None, 4.0, 0.0

    def evaluated(self, loss, progress):
        if self.config.strategy != "stages":
            return
        self.best, self.waited = (loss, 0) if loss < self.best else (self.best, self.waited + 1)
        patience, until = STAGES[self.stage][4:]
        if patience and (self.waited >= patience or progress >= until):
            self.stage, self.best, self.waited = self.stage + 1, math.inf, 0


def train(config, name="hour"):
    """Trains a student; returns its best accuracy on the validation set."""
    began = time.monotonic()
    torch.set_num_threads(1)
    torch.manual_seed(config.seed)
    (x, y), (val_x, val_y), (test_x, test_y) = digits(config.seed)
    mlflow.set_tracking_uri(f"sqlite:///{HERE}/mlflow.db")
    mlflow.set_experiment(name)
    with mlflow.start_run():
        mlflow.log_params(asdict(config))
        teacher = teacher_of(config, x, y)
        with torch.no_grad():
            difficulty = F.cross_entropy(teacher(x), y, reduction="none")
            ease = F.cross_entropy(teacher(test_x), test_y, reduction="none").argsort()
        easy, hard = ease[:len(ease) // 2], ease[-(len(ease) // 4):]
        student = mlp([64, config.width, 10])
        optimizer = torch.optim.AdamW(student.parameters(), lr=config.lr)
        curriculum, best, step = Curriculum(config, difficulty.argsort()), 0.0, 0
        steps = math.ceil(config.epochs * len(y) / BATCH)  # as many as Gradus does
        while step < steps:
            pool, weights, temperature, strength = curriculum.epoch(step / steps)
            for _ in range(min(len(y) // BATCH, steps - step)):
                rows = pool[torch.randint(len(pool), (BATCH,)) if weights is None else torch.multinomial(weights, BATCH, replacement=True)]
                seen = augmented(x[rows], strength)
                with torch.no_grad():
                    wanted = teacher(seen)
                out = student(seen)
                kd = F.kl_div(F.log_softmax(out / temperature, 1), F.softmax(wanted / temperature, 1), reduction="batchmean")
                loss = config.alpha * F.cross_entropy(out, y[rows]) + (1 - config.alpha) * temperature ** 2 * kd
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                if config.strategy == "confidence":
                    curriculum.confidence[rows] = F.softmax(out.detach(), 1).gather(1, y[rows, None])[:, 0]
                step += 1
                if step == 1:
                    print("first step", flush=True)
            val_loss, val_acc = evaluate(student, val_x, val_y)
            best = max(best, val_acc)
            curriculum.evaluated(val_loss, step / steps)
            mlflow.log_metrics({"train_loss": loss.item(), "val_loss": val_loss, "val_acc": val_acc,
                                "easy_acc": evaluate(student, test_x[easy], test_y[easy])[1],
                                "hard_acc": evaluate(student, test_x[hard], test_y[hard])[1]}, step=step)
        mlflow.log_metrics({"best_val_acc": best, "test_acc": evaluate(student, test_x, test_y)[1], "seconds": time.monotonic() - began})
    return best


@hydra.main(version_base=None, config_name="config")
def main(config):
    return train(OmegaConf.to_object(config))


if __name__ == "__main__":
    main()
