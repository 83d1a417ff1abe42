"""Writes attention.json: outputs and gradients of PyTorch's own attention and transformer modules.

    python3 tests/stdlib/data/make_attention_reference.py        (PyTorch 2.13)
"""
import json
import pathlib

import torch
import torch.nn as nn

HERE = pathlib.Path(__file__).parent
N, L, E, H = 2, 5, 8, 2


def plain(tensor):
    return {"shape": list(tensor.shape), "values": tensor.detach().double().flatten().tolist()}


def case(name, make, call, inputs):
    torch.manual_seed(0)
    module = make()
    initial = {key: plain(value) for key, value in module.state_dict().items()}
    with torch.no_grad():  # biases and norms start as 0 and 1, which would hide what they do
        for p in module.parameters():
            if p.dim() == 1:
                p.copy_(p + torch.arange(p.numel()) * 0.01 - 0.02)
    leaves = [x.clone().requires_grad_() for x in inputs]
    out = call(module, *leaves)
    coefficients = torch.arange(1, out.numel() + 1).reshape(out.shape) / out.numel()
    (out * coefficients * torch.where(coefficients > .5, -1.0, 1.0)).sum().backward()
    return {"name": name, "initial": initial, "inputs": [plain(x) for x in inputs], "output": plain(out),
            "input_grads": [plain(x.grad) for x in leaves],
            "grads": {key: plain(p.grad) for key, p in module.named_parameters() if p.grad is not None}}


def layer(**options):
    return nn.TransformerEncoderLayer(E, H, 16, dropout=0.0, batch_first=True, **options)


def encoder(**options):
    torch.manual_seed(0)
    return nn.TransformerEncoder(layer(**options), 2, nn.LayerNorm(E), enable_nested_tensor=False)


def main():
    torch.manual_seed(7)
    x, y = torch.randn(N, L, E), torch.randn(N, 3, E)
    causal = nn.Transformer.generate_square_subsequent_mask(L)
    padding = torch.tensor([[False] * 5, [False] * 3 + [True] * 2])
    attention = lambda **options: nn.MultiheadAttention(E, H, batch_first=True, **options)
    self_attention = lambda m, x, **options: m(x, x, x, need_weights=False, **options)[0]
    cases = [
        case("attention", attention, self_attention, [x]),
        case("attention without bias", lambda: attention(bias=False), self_attention, [x]),
        case("attention of another sequence", attention, lambda m, q, k: m(q, k, k, need_weights=False)[0], [x, y]),
        case("attention with padding", attention, lambda m, x: self_attention(m, x, key_padding_mask=padding), [x]),
        case("attention, causal", attention, lambda m, x: self_attention(m, x, attn_mask=causal, is_causal=True), [x]),
        case("attention, length first", lambda: nn.MultiheadAttention(E, H), self_attention, [x]),
        case("attention weights", attention, lambda m, x: m(x, x, x)[1], [x]),
        case("layer, post-norm", layer, lambda m, x: m(x), [x]),
        case("layer, pre-norm", lambda: layer(norm_first=True, activation="gelu"), lambda m, x: m(x), [x]),
        case("layer, causal", layer, lambda m, x: m(x, src_mask=causal, is_causal=True), [x]),
        case("layer, padding", lambda: layer(norm_first=True), lambda m, x: m(x, src_key_padding_mask=padding), [x]),
        case("encoder", encoder, lambda m, x: m(x), [x]),
        case("encoder, pre-norm, causal", lambda: encoder(norm_first=True),
             lambda m, x: m(x, mask=causal, is_causal=True), [x]),
    ]
    (HERE / "attention.json").write_text(json.dumps(cases, separators=(",", ":")) + "\n")


main()
