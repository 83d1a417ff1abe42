"""A few images of 28 x 28 in two classes, bright above and bright below, in Fashion-MNIST's four files: for scripts that read those."""

import struct


def write_fashion_files(folder, write=open, ending="", train=60):
    """write: what opens each file, gzip.open with the ending ".gz" say; train: so many images, beside 20 to test on."""
    folder.mkdir()
    for part, rows in ("train", train), ("t10k", 20):
        images = b"".join(bytes([250 * (1 - i % 2)]) * 392 + bytes([250 * (i % 2)]) * 392 for i in range(rows))
        for name, head, data in (("images-idx3", struct.pack(">4B3I", 0, 0, 8, 3, rows, 28, 28), images),
                                 ("labels-idx1", struct.pack(">4BI", 0, 0, 8, 1, rows), bytes(i % 2 for i in range(rows)))):
            with write(folder / f"{part}-{name}-ubyte{ending}", "wb") as file:
                file.write(head + data)
