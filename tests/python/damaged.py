"""Writes chunked files to be damaged, and checks what was computed on the damaged ones.

    damaged.py write FOLDER        writes the files; prints what is in them, with the place of every chunk
    damaged.py check FOLDER RUNS   compares the sums; prints a list of what is wrong

RUNS is a JSON file with a list of objects: `name` of the file in the list of `write`, `chunks`, the numbers
of those damaged, `file` and `path` of the sums, and `failed`, the positions and messages that were told.
All positions of whole chunks must have the right sums. Those of damaged ones must have failed if the file has
checksums; otherwise they may also have sums of whatever the chunk now holds.
"""

import json
import sys
from pathlib import Path

import h5py
import hdf5plugin
import numpy as np

SHAPE = (6, 7, 20, 24)
FRAMES, BLOCKS = (1, 1, 20, 24), (3, 4, 11, 9)

# Name: chunks, filters, version, and whether a checksum notices every damage.
FILES = {
    "gzip": (FRAMES, {"compression": "gzip"}, "earliest", True),
    "shuffle-gzip": (BLOCKS, {"compression": "gzip", "shuffle": True}, "earliest", True),
    "shuffle-gzip-new": (BLOCKS, {"compression": "gzip", "shuffle": True}, ("v110", "v110"), True),
    "gzip-fletcher32": (FRAMES, {"compression": "gzip", "fletcher32": True}, "latest", True),
    "fletcher32": (BLOCKS, {"fletcher32": True}, ("v110", "v110"), True),
    "lzf": (FRAMES, {"compression": "lzf", "shuffle": True}, "earliest", False),
    "lzf-fletcher32": (BLOCKS, {"compression": "lzf", "fletcher32": True}, "latest", True),
    "blosc": (BLOCKS, dict(hdf5plugin.Blosc(cname="lz4", shuffle=1)), "earliest", False),
    "blosc-zstd": (FRAMES, dict(hdf5plugin.Blosc(cname="zstd", shuffle=2)), "latest", False),
    "blosc2": (BLOCKS, dict(hdf5plugin.Blosc2(cname="lz4")), "earliest", False),
    "zstd": (FRAMES, dict(hdf5plugin.Zstd()), "earliest", False),
    "lz4": (BLOCKS, dict(hdf5plugin.LZ4()), ("v110", "v110"), False),
    "bitshuffle-lz4": (BLOCKS, dict(hdf5plugin.Bitshuffle(cname="lz4")), "earliest", False),
    "bitshuffle-zstd": (FRAMES, dict(hdf5plugin.Bitshuffle(cname="zstd")), "latest", False),
    "szip": (BLOCKS, {"compression": "szip"}, "earliest", False),
    "scaleoffset": (BLOCKS, {"scaleoffset": 0}, "earliest", False),
    "nothing": (BLOCKS, {}, "latest", False),
}


def values():
    counts = np.random.default_rng(5).poisson(3, SHAPE).astype(np.uint16)
    counts[:, :, 4:10] = 0
    return counts


def chunks_of(dataset):
    infos = (dataset.id.get_chunk_info(number) for number in range(dataset.id.get_num_chunks()))
    return [{"first": info.chunk_offset, "offset": info.byte_offset, "bytes": info.size} for info in infos]


def write(folder):
    listed = []
    for name, (chunks, filters, version, checked) in FILES.items():
        with h5py.File(folder / f"{name}.h5", "w", libver=version) as file:
            dataset = file.create_dataset("data", data=values(), chunks=chunks, maxshape=(None, *SHAPE[1:]), **filters)
            file.flush()
            told = {"name": name, "file": f"{name}.h5", "checked": checked, "shape": SHAPE, "chunk_shape": chunks}
            listed.append({**told, "chunks": chunks_of(dataset)})
    return listed


def positions_of(chunk, shape):
    """The numbers of the positions that a chunk has a part of."""
    rows, columns = (np.arange(first, min(first + step, length)) for first, step, length in zip(chunk["first"][:2], shape, SHAPE))
    return set((rows[:, None] * SHAPE[1] + columns).ravel().tolist())


def wrong_in(run, listed, expected):
    """What is wrong with one run, in words; nothing if all is well."""
    with h5py.File(run["file"]) as opened:
        sums = opened[run["path"]][()].reshape(-1)
    failed = {failure["position"]: failure["message"] for failure in run["failed"]}
    damaged = set()
    for number in run["chunks"]:
        chunk = listed["chunks"][number]
        own = positions_of(chunk, listed["chunk_shape"])
        damaged |= own
        if not listed["checked"]:
            continue
        if missed := own - set(failed):
            yield f"chunk {chunk['first']} is damaged, but positions {sorted(missed)} have not failed"
    named = [f"chunk ({', '.join(map(str, listed['chunks'][number]['first']))})" for number in run["chunks"]]
    for position, message in failed.items():
        if position not in damaged:
            yield f"position {position} has failed, which is in no damaged chunk: {message}"
        elif not any(name in message for name in named):
            yield f"position {position} names none of {named}: {message}"
        if not np.isnan(sums[position]):
            yield f"position {position} has failed, and its sum is {sums[position]}"
    for position in set(range(len(sums))) - damaged:
        if sums[position] != expected[position]:
            yield f"position {position} is in whole chunks, and its sum is {sums[position]}, not {expected[position]}"
    for position in damaged - set(failed):
        if not np.isfinite(sums[position]):
            yield f"position {position} has not failed, and its sum is {sums[position]}"


def check(runs, listed):
    expected = values().sum(axis=(2, 3), dtype=float).reshape(-1)
    by_name = {file["name"]: file for file in listed}
    found = [(run, list(wrong_in(run, by_name[run["name"]], expected))) for run in runs]
    return [{**run, "failed": len(run["failed"]), "wrong": wrong[:3]} for run, wrong in found if wrong]


def main():
    folder = Path(sys.argv[2])
    listing = folder / "damaged.json"
    if sys.argv[1] == "write":
        told = write(folder)
        listing.write_text(json.dumps(told))
    else:
        told = check(json.loads(Path(sys.argv[3]).read_text()), json.loads(listing.read_text()))
    json.dump(told, sys.stdout)


if __name__ == "__main__":
    main()
