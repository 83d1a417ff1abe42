"""Writes formats/: the same small arrays by NumPy and by the reference safetensors library, with the values they hold.

Run: pip install numpy safetensors && python3 make_formats.py
"""
import json
import pathlib

import numpy as np
from safetensors.numpy import save_file

folder = pathlib.Path(__file__).parent / "formats"
folder.mkdir(exist_ok=True)
expected = {}


def values(shape):
    return (np.arange(np.prod(shape, dtype=int)) * 37 % 101 - 20).reshape(shape)


def note(file, array, dtype):
    expected[file] = {"shape": list(array.shape), "dtype": dtype, "values": array.astype(float).flatten().tolist()}


def npy(name, array, dtype, version=None):
    with open(folder / f"{name}.npy", "wb") as f:
        np.lib.format.write_array(f, array, version=version)
    note(f"{name}.npy", array, dtype)


for code, dtype in [("b1", "Bool"), ("i1", "Char"), ("u1", "Byte"), ("i2", "Short"), ("i4", "Int"), ("i8", "Long"),
                    ("f2", "Half"), ("f4", "Float"), ("f8", "Double"), ("u2", "Int"), ("u4", "Long"), ("u8", "Long")]:
    npy(code, np.abs(values((2, 3))).astype(code) if code[0] in "ub" else values((2, 3)).astype(code), dtype)
for code, dtype in [(">i2", "Short"), (">i4", "Int"), (">f4", "Float"), (">f8", "Double"), (">u2", "Int"), (">i8", "Long")]:
    npy("big_" + code[1:], np.abs(values((3, 2))).astype(code), dtype)
npy("fortran", np.asfortranarray(values((2, 3, 4)).astype("f4")), "Float")
npy("fortran_big", np.asfortranarray(values((3, 5)).astype(">f8")), "Double")
npy("version2", values((4,)).astype("f4"), "Float", (2, 0))
npy("version3", values((4,)).astype("f4"), "Float", (3, 0))
npy("scalar", np.array(1.5, dtype="f4"), "Float")
npy("empty", np.zeros((0, 3), dtype="f4"), "Float")

tensors = {"layer.weight": values((3, 4)).astype("f4"), "bias": values((4,)).astype("f4"), "steps": values((2,)).astype("i8"),
           "short": values((5,)).astype("i2"), "mask": values((3,)) > 0, "none": np.zeros((0, 2), "f4"), "scalar": np.array(2.5, "f4")}
save_file(tensors, folder / "reference.safetensors", metadata={"made by": "safetensors ünïcode"})
for name, array in tensors.items():
    note("reference.safetensors/" + name, array, {"f4": "Float", "i8": "Long", "i2": "Short", "b1": "Bool"}[array.dtype.str[1:]])

(folder / "expected.json").write_text(json.dumps(expected, indent=0) + "\n")
