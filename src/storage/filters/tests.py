"""Writes chunks with the real filters, for tests.rs, to standard output.

For each chunk: the bytes of a JSON header (4, little-endian), the header, the chunk as stored, and
its plain bytes.
"""

import io
import json
import struct
import sys

import h5py
import hdf5plugin
import numpy as np

random = np.random.default_rng(1)
file = h5py.File(io.BytesIO(), "w")
count = 0


def content(dtype, shape, kind):
    """Numbers that compress well, badly, and not at all; or all zeros."""
    dtype = np.dtype(dtype)
    bytes_ = int(np.prod(shape)) * dtype.itemsize
    if kind == "noise":
        raw = random.integers(0, 256, bytes_, np.uint8)
    elif kind == "zeros":
        raw = np.zeros(bytes_, np.uint8)
    elif kind == "runs":
        raw = np.repeat(random.integers(0, 256, bytes_ // 37 + 1, np.uint8), 37)[:bytes_]
    else:
        wave = (np.cumsum(random.integers(-3, 4, int(np.prod(shape)))) + 1000).astype("<i4")
        raw = np.zeros((wave.size, dtype.itemsize), np.uint8)
        used = min(4, dtype.itemsize)
        raw[:, :used] = wave.view(np.uint8).reshape(-1, 4)[:, :used]
    return np.frombuffer(raw.tobytes(), dtype).reshape(shape)


def emit(case, dtype, shape, kind="wave", setup=None, **options):
    global count
    count += 1
    data = content(dtype, shape, kind)
    name = f"d{count}"
    try:
        if setup is None:
            dataset = file.create_dataset(name, shape, dtype, chunks=tuple(shape), **options)
        else:
            dcpl = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
            dcpl.set_chunk(tuple(shape))
            setup(dcpl)
            space = h5py.h5s.create_simple(tuple(shape))
            kind_ = h5py.h5t.py_create(np.dtype(dtype), logical=True)
            dataset = h5py.Dataset(h5py.h5d.create(file.id, name.encode(), kind_, space, dcpl))
        dataset.id.write(h5py.h5s.ALL, h5py.h5s.ALL, np.ascontiguousarray(data))
    except (ValueError, RuntimeError, OSError) as error:
        # szip and friends refuse some types.
        print("left out:", case, dtype, shape, kind, error, file=sys.stderr)
        return
    file.flush()
    mask, stored = dataset.id.read_direct_chunk((0,) * len(shape))
    dcpl = dataset.id.get_create_plist()
    filters = []
    for index in range(dcpl.get_nfilters()):
        code, _, values, label = dcpl.get_filter(index)
        filters.append({"id": code, "values": list(values), "name": label.decode()})
    header = json.dumps({
        "case": f"{case} {np.dtype(dtype).str} {shape} {kind}",
        "filters": filters, "mask": mask, "size": np.dtype(dtype).itemsize,
        "stored": len(stored), "plain": data.nbytes,
    }).encode()
    out = sys.stdout.buffer
    out.write(struct.pack("<I", len(header)) + header + stored + data.tobytes())
    del file[name]


KINDS = ["wave", "noise", "runs", "zeros"]
TYPES = ["u1", "<u2", "V3", "<f4", "<f8", "<c16"]
LENGTHS = [1, 7, 63, 64, 65, 1000, 5011]

for dtype in TYPES:
    for length in LENGTHS:
        for kind in KINDS if length in (65, 5011) else ["wave"]:
            def one(case, **options):
                emit(case, dtype, (length,), kind, **options)

            one("none")
            for shuffle in (False, True):
                for level in (0, 1, 9):
                    one("gzip", compression="gzip", compression_opts=level, shuffle=shuffle)
                one("lzf", compression="lzf", shuffle=shuffle)
                one("lzf fletcher", compression="lzf", shuffle=shuffle, fletcher32=True)
                one("fletcher", fletcher32=True, shuffle=shuffle)
                one("zstd", **hdf5plugin.Zstd(clevel=3), shuffle=shuffle)
                one("lz4", **hdf5plugin.LZ4(nbytes=0), shuffle=shuffle)
                one("lz4 small", **hdf5plugin.LZ4(nbytes=100), shuffle=shuffle)
                one("bzip2", **hdf5plugin.BZip2(blocksize=1), shuffle=shuffle)
            one("gzip fletcher", compression="gzip", shuffle=True, fletcher32=True)
            if length > 1000 or kind == "wave":
                for cname in ("none", "lz4", "zstd"):
                    for nelems in (0, 64, 1024):
                        one("bitshuffle", **hdf5plugin.Bitshuffle(nelems=nelems, cname=cname))
                for cname in ("blosclz", "lz4", "lz4hc", "zlib", "zstd"):
                    for mode in (0, 1, 2):
                        for level in (1, 9) if length > 1000 else (5,):
                            one("blosc", **hdf5plugin.Blosc(cname=cname, clevel=level, shuffle=mode))
                for cname in ("blosclz", "lz4", "lz4hc", "zlib", "zstd"):
                    for filters in (0, 1, 2, 3, 4):
                        one("blosc2", **hdf5plugin.Blosc2(cname=cname, clevel=5, filters=filters))

            def fletcher_first(dcpl):
                dcpl.set_fletcher32()
                dcpl.set_shuffle()
                dcpl.set_deflate(4)

            def two_codecs(dcpl):
                dcpl.set_deflate(4)
                dcpl.set_shuffle()
                dcpl.set_filter(32015, h5py.h5z.FLAG_OPTIONAL, (3,))
                dcpl.set_fletcher32()

            one("fletcher first", setup=fletcher_first)
            one("two codecs", setup=two_codecs)

# Long chunks have several blocks, and B2ND has blocks that stick out.
for dtype in ["u1", "<u2", "<f4", "<f8", "V3"]:
    for shape in [(37, 53), (5, 7, 11), (150, 201), (3, 10, 20, 17)]:
        for cname in ("blosclz", "lz4", "zstd"):
            for filters in (0, 1, 2, 3):
                emit("b2nd", dtype, shape, **hdf5plugin.Blosc2(cname=cname, clevel=5, filters=filters))
        emit("b2nd", dtype, shape, "zeros", **hdf5plugin.Blosc2(cname="zstd", clevel=5, filters=1))
        emit("b2nd", dtype, shape, "noise", **hdf5plugin.Blosc2(cname="zstd", clevel=5, filters=1))
    for kind in ("wave", "runs") if dtype in ("<u2", "<f8") else ():
        for cname in ("blosclz", "lz4", "zlib", "zstd"):
            for mode in (0, 1, 2):
                emit("long blosc", dtype, (150001,), kind, **hdf5plugin.Blosc(cname=cname, clevel=7, shuffle=mode))
                emit("long blosc2", dtype, (150001,), kind, **hdf5plugin.Blosc2(cname=cname, clevel=7, filters=mode))

for dtype in ["u1", "<u2", ">u2", "<i4", ">i4", "<f4", "<f8", ">f8"]:
    for shape in [(40,), (1000,), (5011,), (50, 33), (7, 700), (3, 5000)]:
        for kind in KINDS:
            for method in ("nn", "ec"):
                for pixels in (4, 16, 32):
                    for shuffle in (False, True):
                        emit(f"szip {method} {pixels}", dtype, shape, kind, compression="szip",
                             compression_opts=(method, pixels), shuffle=shuffle)
