"""Writes the seeds of tests/fuzz/corpus: small good files of each kind, and some that lie. What a fuzzer finds is put beside them."""

import gzip
import json
import pathlib
import random
import struct
import zlib

CORPUS = pathlib.Path(__file__).parent / "corpus"


def put(target, name, data):
    (CORPUS / target).mkdir(parents=True, exist_ok=True)
    (CORPUS / target / name).write_bytes(data if isinstance(data, bytes) else data.encode())


def safetensors(header, data=b""):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


def tensor(dtype, shape, begin, end):
    return {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}


put("safetensors", "two", safetensors({"__metadata__": {"a": "b"}, "w": tensor("F32", [2, 2], 0, 16), "n": tensor("I64", [], 16, 24)}, bytes(24)))
put("safetensors", "types", safetensors({t: tensor(t, [1], i * 8, i * 8 + n) for i, (t, n) in enumerate([("F64", 8)])}, bytes(8)))
put("safetensors", "small_types", safetensors({"a": tensor("F16", [1], 0, 2), "b": tensor("BF16", [1], 2, 4), "c": tensor("BOOL", [2], 4, 6),
                                               "d": tensor("U8", [0], 6, 6)}, b"\0\x7c\xc0\x7f\1\0"))
put("safetensors", "overflow", safetensors({"w": tensor("F32", [2**32, 2**32], 0, 0)}))
put("safetensors", "length", struct.pack("<Q", 2**64 - 1) + b"{}")
put("safetensors", "deep", safetensors(b"{\"a\":" + b"[" * 3000))
put("safetensors", "hole", safetensors({"w": tensor("U8", [1], 0, 1), "v": tensor("U8", [1], 2, 3)}, bytes(3)))


def snapshot(plain, **tensors):  # name = (dtype, shape, bytes); the sum is over the text, then each tensor's name and bytes
    crc, entries, data = zlib.crc32(plain.encode()), {}, b""
    for name, (dtype, shape, held) in sorted(tensors.items()):
        crc = zlib.crc32(held, zlib.crc32(name.encode(), crc))
        entries[name] = tensor(dtype, shape, len(data), len(data) + len(held))
        data += held
    return safetensors({"__metadata__": {"gradus.state": plain, "gradus.crc32": f"{crc:08x}"}, **entries}, data)


put("snapshot", "weights", snapshot('[["t","step",3,"w",["T","w","cpu"]]]', w=("F32", [2], bytes(8)), n=("I64", [], bytes(8))))
put("snapshot", "empty", snapshot("[null]"))
put("snapshot", "flipped", snapshot("[1]", w=("U8", [3], b"abc")).replace(b"abc", b"abd"))
put("snapshot", "weights_only", safetensors({"w": tensor("U8", [1], 0, 1)}, b"a"))


def npy(header, data=b"", version=1):
    text = header.encode()
    size = struct.pack("<H" if version == 1 else "<I", len(text) + 1)
    return b"\x93NUMPY" + bytes([version, 0]) + size + text + b"\n" + data


for name, descr, order, shape, count in [("floats", "<f4", "False", "(2, 3)", 24), ("fortran", "<f8", "True", "(2, 2)", 32),
                                         ("big", ">i2", "False", "(3,)", 6), ("unsigned", "<u4", "False", "(2,)", 8),
                                         ("bools", "|b1", "False", "(2,)", 2), ("scalar", "<f2", "False", "()", 2),
                                         ("objects", "|O", "False", "(1,)", 8), ("texts", "<U1000000000", "False", "(1,)", 4),
                                         ("many", "<f4", "False", "(" + "0, " * 40 + ")", 0)]:
    put("npy", name, npy(f"{{'descr': '{descr}', 'fortran_order': {order}, 'shape': {shape}, }}", bytes(count)))
put("npy", "version2", npy("{'descr': '<i4', 'fortran_order': False, 'shape': (1,), }", bytes(4), 2))
put("npy", "record", npy("{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (1,), }", bytes(4)))
put("npy", "long", b"\x93NUMPY\2\0\xf0\xff\xff\xff")


def idx(kind, sizes, data):
    return bytes([0, 0, kind, len(sizes)]) + b"".join(struct.pack(">I", n) for n in sizes) + data


put("idx", "bytes", idx(8, [2, 2, 2], bytes(range(8))))
put("idx", "floats", idx(13, [2], struct.pack(">ff", 1, -1)))
put("idx", "doubles", idx(14, [1], struct.pack(">d", 1)))
put("idx", "packed", gzip.compress(idx(8, [3], b"abc"), mtime=0))
put("idx", "huge", idx(8, [2**32 - 1] * 3, b"x"))

for name, text in {"plain": "\0a,b\n1,2\n3,4\n", "labels": "hl\0x,y\n1,dog\n2,cat\n", "named": "hy\0y,x\n1,2\n3,4\n",
                   "quoted": "l\0\"1\",\"a \"\"b\"\"\"\r\n2,\"c\nd\"\r", "bom": "\0\xef\xbb\xbf1;2\n", "bad": "n\x001,nan\n0x10,1e400\n",
                   "known": "nlck;\0001;a\n2;b\n", "ragged": "\x001,2\n3\n", "open": "\0\"1,2\n", "value": "nlv\x001,2.5\n"}.items():
    put("csv", name, text.encode("latin-1"))

put("gzip", "one", gzip.compress(b"hello", mtime=0))
put("gzip", "two", gzip.compress(b"a", mtime=0) + gzip.compress(b"b", mtime=0))
put("gzip", "bomb", gzip.compress(bytes(3 << 20), mtime=0))


def varint(n):
    n &= (1 << 64) - 1
    out = b""
    while n > 127:
        out += bytes([n & 127 | 128])
        n >>= 7
    return out + bytes([n])


def field(number, data):
    return varint(number << 3 | 2) + varint(len(data)) + data


def number(number, value):
    return varint(number << 3) + varint(value)


# A SentencePiece model of a few letters: pieces { text, score, type }, how it was trained, no normalisation.
def piece(text, score, kind):
    return field(1, field(1, text.encode()) + struct.pack("<Bf", 2 << 3 | 5, score) + number(3, kind))


pieces = b"".join(piece(t, 0, k) for t, k in [("<pad>", 3), ("<unk>", 2), ("<s>", 3), ("</s>", 3), ("[MASK]", 3)])
pieces += b"".join(piece(t, -i, 1) for i, t in enumerate(["\u2581", "a", "n", "d", "\u2581a", "o", "r", "w"]))
for name, kind in {"unigram": 1, "bpe": 2, "word": 3, "char": 4}.items():
    trainer = field(2, number(3, kind) + number(40, 1) + number(41, 2) + number(42, 3) + number(43, 0))
    put("sentencepiece", name, pieces + trainer + field(3, field(1, b"identity") + number(3, 1) + number(4, 1)))

put("sentencepiece", "empty_piece", pieces + piece("", -9, 1) + field(2, number(3, 1)) + field(3, field(1, b"identity")))

TABLE = []
for n in range(256):
    for _ in range(8):
        n = n >> 1 ^ (0x82F63B78 if n & 1 else 0)
    TABLE.append(n)


def masked_crc(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc = TABLE[(crc ^ byte) & 255] ^ crc >> 8
    crc ^= 0xFFFFFFFF
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


def record(data):
    head = struct.pack("<Q", len(data))
    return head + struct.pack("<I", masked_crc(head)) + data + struct.pack("<I", masked_crc(data))


def event(step, body):
    return struct.pack("<Bd", 1 << 3 | 1, 1.7e9) + number(2, step) + body


def value(tag, content):
    return field(5, field(1, field(1, tag.encode()) + content))


scalar = event(3, value("val/acc", struct.pack("<Bf", 2 << 3 | 5, .5)))
meta = field(9, field(1, field(1, b"scalars")))
first = event(0, value("loss", field(8, number(1, 1) + field(2, b"") + field(4, struct.pack("<f", 2))) + meta))
later = event(1, value("loss", field(8, number(1, 2) + field(2, field(2, number(1, 1))) + field(6, struct.pack("<d", 3)))))
version = event(0, field(3, b"brain.Event:2"))
put("tensorboard_records", "three", record(version) + record(scalar) + record(first))
put("tensorboard_records", "cut", (record(version) + record(scalar))[:-3])
put("tensorboard_records", "long", struct.pack("<QI", 2**63, 0))
put("tensorboard_event", "scalar", version + b"\0\n" + scalar)
put("tensorboard_event", "tensors", first + b"\0\n" + later)
put("tensorboard_event", "cut", scalar[:-1] + b"\0\n" + b"\xff" * 11)

for i, text in enumerate(["", "strategy == 'stages' and best(val/acc) > 0.2", "not (seed < 2 or lr != .5)", "name like 'dig%' && id in",
                          "at(val_acc, 2) >= 0.1 or auc(val/acc) < 3", "params.\"opt.width\" ~ '^8' and note == nil", "last('val/acc') >",
                          "((((((((seed == 1))))))))", "seed <> 2 and tags.x = true", "name ~ '(' ", "seed == 1e999 or seed = -0x10", "'\u00e9' = name"]):
    put("where", f"{i:02}", text)

draw = random.Random(1)
for i in range(40):
    put("border", f"{i:02}", bytes(draw.randrange(256) for _ in range(96)))

QUERIES = [("/", {}), ("/app.js", {}), ("/../x", {}), ("/api/runs", {"where": "seed > 1", "metrics": "val/acc", "since": "0", "watch": "1,2"}),
           ("/api/run", {"run": "1", "event": "0"}), ("/api/run", {"run": "99999999999999999999"}), ("/api/source", {"sha256": "00"}),
           ("/api/log", {"run": "2", "from": "-1"}), ("/api/artifact", {"run": "1", "path": "../s.db"}),
           ("/api/curves", {"runs": "1,2,3", "keys": "val/acc", "from": "1", "to": "3", "columns": "7", "after": "0"}),
           ("/api/bands", {"key": "val/acc", "runs": "1,2", "by": "strategy", "columns": "9", "axis": "step"}),
           ("/api/axis", {"axis": "epoch", "runs": "1,2"}), ("/api/stages", {"runs": "3"}), ("/api/diff", {"a": "1", "b": "2"}),
           ("/api/compare", {"runs": "1,2,3", "by": "opt.width", "metrics": "val/acc", "versus": "8"}), ("/api/runs", {"where": "((("})]
for i, (path, query) in enumerate(QUERIES):
    put("request", f"{i:02}", "\0".join([path, *(word for pair in query.items() for word in pair)]))
