"""The files that a sequence begins with: scans, and the user's own data around them."""

import h5py
import numpy as np
from edits import some
from layouts import KINDS, random_scan, write


class Files:
    """Makes files, and datasets that runs are given, in a world."""

    def __init__(self, world):
        self.world = world
        self.own = []

    def make_files(self, rng):
        world = self.world
        kinds, weights = list(KINDS), np.array(list(KINDS.values()), float)
        for number in range(1 + int(rng.random() < 0.25)):
            self.make_file(rng, number, kinds[rng.choice(len(kinds), p=weights / weights.sum())])
        for scan in world.scans:
            if scan.kind == "linked" or rng.random() < 0.25:
                output = "results.hspy" if scan.kind == "hspy" else "results.h5"
                world.outputs[scan.file, scan.path] = output

    def make_file(self, rng, number, kind):
        world = self.world
        name = f"scan{number}.{'hspy' if kind == 'hspy' else 'h5'}"
        options = {"libver": some(rng, ["earliest", "latest", ("v108", "v110"), None])}
        if rng.random() < 0.15:
            options["userblock_size"] = some(rng, [512, 2048])
        elif rng.random() < 0.1:
            options.update(fs_strategy=some(rng, ["page", "aggregate"]), fs_persist=False)
            options["libver"] = "latest"
        with h5py.File(world.folder / name, "w", **options) as file:
            self.put_own(rng, file, "before")
            for channel in range(1 + int(kind in ("usid", "plain") and rng.random() < 0.3)):
                scan = random_scan(rng, kind, name, channel)
                write(file, scan, world.folder)
                world.scans.append(scan)
                self.put_own(rng, file, f"after {channel}")
        if "userblock_size" in options:
            with open(world.folder / name, "r+b") as file:
                file.write(b"the user's own block".ljust(512, b"."))
        for path in self.own:
            world.keep(name, path)
        self.own.clear()
        for part in {part for scan in world.scans for part, *_ in scan.parts if scan.file == name}:
            with world.open(part) as file:
                beside = [path for path in walk(file) if path.endswith("_beside")]
            for path in beside:
                world.keep(part, path)

    def put_own(self, rng, file, name):
        path = f"/own/{name}"
        values = rng.integers(0, 255, int(rng.integers(1, 5000)), dtype="u1")
        dataset = file.create_dataset(path, data=values, chunks=(500,) if rng.random() < 0.3 and len(values) > 500 else None)
        dataset.attrs["note"] = f"of the user's, {name}"
        self.own.append(path)

    def input_of(self, rng, scan):
        """A dataset with a row for each position."""
        world = self.world
        key = f"/own/offset {world.scans.index(scan)}"
        if key not in world.inputs:
            values = rng.integers(0, 4000, (scan.count, 1)) / 4
            with world.open(scan.file, "r+") as file:
                file[key] = values
            world.inputs[key] = values
            world.input_files[key] = scan.file
        return key

    def mask_of(self, rng, scan):
        key = f"/own/mask {self.world.scans.index(scan)} {rng.integers(10000)}"
        mask = rng.random(scan.count) < rng.random()
        mask[rng.integers(scan.count)] = True
        with self.world.open(scan.file, "r+") as file:
            if key in file:
                return key, file[key][()].astype(bool)
            file[key] = mask.astype(some(rng, ["?", "u1", "i8"]))
        self.world.keep(scan.file, key)
        return key, mask


def walk(file):
    paths = []
    file.visit(paths.append)
    return paths
