"""JAX's side of a row: jax_peer.py jit|scan WORK (JSON). jit compiles a step, with its buffers donated; scan the whole loop."""
import functools
import json
import sys

import jax
import jax.numpy as jnp
import numpy as np

from rows import ALPHA, LR, TEMPERATURE
from worker import serve

rng = np.random.default_rng(0)


def normal(*shape, scale=1.0):
    return jnp.asarray(rng.standard_normal(shape, dtype=np.float32) * scale)


def dense(a, b):
    return {"w": normal(a, b, scale=a ** -0.5), "b": jnp.zeros(b)}


def apply(p, x, dtype=None):
    if dtype:
        return x.astype(dtype) @ p["w"].astype(dtype) + p["b"].astype(dtype)
    return x @ p["w"] + p["b"]


def mlp(sizes):
    def forward(params, x):
        for p in params[:-1]:
            x = jax.nn.relu(apply(p, x))
        return apply(params[-1], x)
    return [dense(a, b) for a, b in zip(sizes, sizes[1:])], forward


def cnn():
    params = {"c1": normal(3, 3, 1, 16, scale=0.3), "b1": jnp.zeros(16), "c2": normal(3, 3, 16, 32, scale=0.1),
              "b2": jnp.zeros(32), "head": dense(1568, 10)}

    def layer(x, w, b):
        x = jax.lax.conv_general_dilated(x, w, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC"))
        return jax.lax.reduce_window(jax.nn.relu(x + b), -jnp.inf, jax.lax.max, (1, 2, 2, 1), (1, 2, 2, 1), "VALID")

    def forward(p, x):
        x = layer(layer(x, p["c1"], p["b1"]), p["c2"], p["b2"])
        return apply(p["head"], x.reshape(x.shape[0], -1))
    return params, forward


def layer_norm(p, x):
    x = x.astype(jnp.float32)
    centred = x - x.mean(-1, keepdims=True)
    return centred * jax.lax.rsqrt((centred ** 2).mean(-1, keepdims=True) + 1e-5) * p["w"] + p["b"]


def encoder(work):
    width, heads = work["width"], work["heads"]
    dtype = jnp.bfloat16 if work.get("dtype") == "bfloat16" else None
    norm = lambda: {"w": jnp.ones(width), "b": jnp.zeros(width)}
    params = {"layers": [{"qkv": dense(width, 3 * width), "out": dense(width, width), "up": dense(width, 4 * width),
                          "down": dense(4 * width, width), "n1": norm(), "n2": norm()} for _ in range(work["layers"])],
              "head": dense(width, work.get("vocabulary") or work["classes"])}
    if work.get("vocabulary"):
        params["token"] = normal(work["vocabulary"], width)

    def forward(params, x):
        if work.get("vocabulary"):
            x = params["token"][x]
        for p in params["layers"]:
            n, length = x.shape[:2]
            q, k, v = (t.reshape(n, length, heads, -1) for t in jnp.split(apply(p["qkv"], x, dtype), 3, -1))
            a = jax.nn.dot_product_attention(q, k, v).reshape(n, length, width)
            x = layer_norm(p["n1"], x + apply(p["out"], a, dtype))
            x = layer_norm(p["n2"], x + apply(p["down"], jax.nn.relu(apply(p["up"], x, dtype)), dtype))
        if work.get("vocabulary"):
            return apply(params["head"], x).reshape(-1, work["vocabulary"])
        return apply(params["head"], x.mean(1), dtype).astype(jnp.float32)
    return params, forward


def build(work):
    kind, batch = work["kind"], work["batch"]
    labels = lambda n, classes: jnp.asarray(rng.integers(0, classes, n))
    if kind in ("mlp", "cached"):
        params, forward = mlp(work["sizes"])
        if kind == "cached":
            teacher_params, teacher = mlp(work["teacher"])
        else:
            teacher_params, teacher = normal(batch, work["sizes"][-1]), lambda p, x: p
        return params, forward, teacher_params, teacher, normal(batch, work["sizes"][0]), labels(batch, work["sizes"][-1])
    if kind == "cnn":
        params, forward = cnn()
        return params, forward, normal(batch, 10), lambda p, x: p, normal(batch, 28, 28, 1), labels(batch, 10)
    params, forward = encoder(work)
    if kind == "encoder":
        x = normal(batch, work["length"], work["width"])
        return params, forward, normal(batch, work["classes"]), lambda p, x: p, x, labels(batch, work["classes"])
    tokens = batch * work["length"]
    teacher_params = (normal(tokens, work["width"]), normal(work["width"], work["vocabulary"], scale=1 / 16))
    x = labels((batch, work["length"]), work["vocabulary"])
    return params, forward, teacher_params, lambda p, x: p[0] @ p[1], x, labels(tokens, work["vocabulary"])


def kd_loss(logits, teacher, target):
    ce = -jnp.take_along_axis(jax.nn.log_softmax(logits), target[:, None], 1).mean()
    p = jax.nn.softmax(teacher / TEMPERATURE)
    kl = (p * (jax.nn.log_softmax(teacher / TEMPERATURE) - jax.nn.log_softmax(logits / TEMPERATURE))).sum(-1).mean()
    return ALPHA * ce + (1 - ALPHA) * TEMPERATURE ** 2 * kl


def make_step(work, forward, teacher):
    def adamw(p, g, m, v, correction1, correction2):
        m = 0.9 * m + 0.1 * g
        v = 0.999 * v + 0.001 * g * g
        update = (m / correction1) / (jnp.sqrt(v / correction2) + 1e-8)
        return p * (1 - LR * 0.01) - LR * update, m, v

    def step(state, teacher_params, x, target):
        params, m, v, count = state
        soft = jax.lax.stop_gradient(teacher(teacher_params, x))
        loss, grads = jax.value_and_grad(lambda p: kd_loss(forward(p, x), soft, target))(params)
        count = count + 1
        if work.get("optimizer") == "SGD":
            return (jax.tree.map(lambda p, g: p - LR * g, params, grads), m, v, count), loss
        c1, c2 = 1 - 0.9 ** count, 1 - 0.999 ** count
        leaves, tree = jax.tree.flatten(params)
        new = [adamw(*four, c1, c2) for four in zip(leaves, tree.flatten_up_to(grads), tree.flatten_up_to(m), tree.flatten_up_to(v))]
        params, m, v = (tree.unflatten([one[i] for one in new]) for i in range(3))
        return (params, m, v, count), loss
    return step


def main():
    mode, work = sys.argv[1], json.loads(sys.argv[2])
    params, forward, teacher_params, teacher, x, target = build(work)
    step = make_step(work, forward, teacher)
    zeros = lambda: jax.tree.map(jnp.zeros_like, params)
    sgd = work.get("optimizer") == "SGD"
    state = [(params, () if sgd else zeros(), () if sgd else zeros(), jnp.float32(0))]
    if mode == "jit":
        compiled = jax.jit(step, donate_argnums=0)

        def advance(steps):
            for _ in range(steps):
                state[0], loss = compiled(state[0], teacher_params, x, target)
            loss.block_until_ready()
    else:
        chunk = work.get("chunk", 16)  # of batches that differ: equal ones would be hoisted out of the loop
        xs = jnp.stack([jnp.roll(x, i, 0) for i in range(chunk)])
        targets = jnp.stack([jnp.roll(target, i, 0) for i in range(chunk)])

        @functools.partial(jax.jit, donate_argnums=0)
        def loop(state, teacher_params, xs, targets):
            return jax.lax.scan(lambda s, batch: step(s, teacher_params, *batch), state, (xs, targets))

        def advance(steps):
            for _ in range(max(1, round(steps / chunk))):
                state[0], losses = loop(state[0], teacher_params, xs, targets)
            losses.block_until_ready()
    serve(advance)


main()
