"""Scans of components that aren't negative, and what scikit-learn and SciPy make of them, for `tests/nmf.rs`."""

import h5py
import numpy as np

from answer import answer

SCAN, POINTS = (37, 23), 60


def parts(kind):
    """Amounts and spectra of four components."""
    random = np.random.default_rng(3)
    positions, points = SCAN[0] * SCAN[1], np.arange(POINTS)
    peaks = lambda *of: np.array([np.exp(-0.5 * ((points - place) / width) ** 2) for place, width in of])
    if kind == "separable":
        # Each component has positions and points that no other has anything of.
        amounts = random.dirichlet([0.6] * 4, positions) * random.uniform(20, 100, (positions, 1))
        for component in range(4):
            amounts[component * 9 : component * 9 + 9] = 80 * np.eye(4)[component]
        spectra = peaks((8, 3), (22, 4), (38, 3), (52, 3))
        spectra[spectra < 0.2] = 0
        spectra[:, 30] = 0.6  # and one that all have, but that
        return amounts, spectra
    if kind == "alike":
        return random.dirichlet([2] * 4, positions) * 100, peaks((15, 9), (22, 9), (30, 9), (40, 9)) + 0.3
    if kind == "peaks":
        return random.dirichlet([0.5] * 4, positions) * 500, peaks((10, 4), (18, 5), (33, 8), (45, 5)) + 0.02
    return np.abs(random.normal(0, 1, (positions, 4))) * [500, 200, 60, 25], np.abs(random.normal(0, 1, (4, POINTS)))


def data(kind, noise):
    amounts, spectra = parts(kind)
    values = amounts @ spectra
    random = np.random.default_rng(1)
    if noise == "poisson":
        return random.poisson(values).astype(float)
    return np.abs(values + float(noise) * values.mean() * random.normal(0, 1, values.shape))


def write(path, kind, noise, element, layout):
    values = data(kind, noise)
    values = values.round() if np.dtype(element).kind in "iu" else values
    values = values.astype(element)
    shape = (*SCAN, 6, 10) if layout == "frames" else (*SCAN, POINTS)
    packed = {"compression": "gzip", "chunks": (5, 6, 13)} if layout == "gzip" else {}
    with h5py.File(path, "w") as file:
        file.create_dataset("data", data=values.reshape(shape), **packed)


def special(path, what):
    """Spoils a scan: some empty spectra, fewer components than are asked for, a negative value, or nothing at all."""
    with h5py.File(path, "r+") as file:
        values = file["data"][()]
        if what == "empty":
            values[3, :5] = 0
        elif what == "few":
            values[:] = values[0, 0].round() * (1 + np.arange(SCAN[1]) % 3)[None, :, None]
        elif what == "negative":
            values[3, 8, 5] = -3
        elif what == "nothing":
            values[:] = 0
        file["data"][...] = values


def read(path, output, name):
    with h5py.File(path) as file:
        values = file["data"][()].astype("f8").reshape(SCAN[0] * SCAN[1], -1)
    with h5py.File(output) as file:
        group = file[name]
        found = {name: group[name][()] for name in group if "quantity" in group[name].attrs}
    components = found["Components"].reshape(len(found["Contribution"]), -1)
    return values, found["Loadings"].reshape(len(values), -1), components, found


def roots(values, is_scaled):
    if not is_scaled:
        return np.ones((len(values), 1)), np.ones(values.shape[1])
    return np.sqrt(values.sum(axis=1))[:, None], np.sqrt(values.sum(axis=0))


def compared(path, output, name, poisson="false"):
    """How far from scikit-learn's error we are, and whether amounts are the best by SciPy."""
    from scipy.optimize import nnls
    from sklearn.decomposition import NMF

    values, loadings, components, found = read(path, output, name)
    rows, columns = roots(values, poisson == "true")
    scaled, u, v = values / rows / columns, loadings / rows, components / columns
    whole = np.linalg.norm(scaled)
    error = np.linalg.norm(scaled - u @ v) / whole
    theirs = min(
        NMF(len(v), init=init, tol=1e-5, max_iter=1000).fit(scaled).reconstruction_err_ / whole for init in ("nndsvd", "nndsvda")
    )
    # In some of all positions, by how good they are: amounts that are hardly apart may be others.
    some = slice(None, None, 17)
    best = np.array([nnls(v.T, row)[1] for row in scaled[some]])
    own = np.linalg.norm(scaled - u @ v, axis=1)[some]
    contribution = np.linalg.norm(u, axis=0) * np.linalg.norm(v, axis=1) / whole
    return {
        "ours": float(error),
        "theirs": float(theirs),
        "told": float(abs(error - found["Relative_Error"].item())),
        "amounts": float((own - best).max() / np.linalg.norm(scaled, axis=1).max()),
        "contribution": float(np.abs(contribution - found["Contribution"]).max()),
        "is_sorted": bool((np.diff(contribution) <= 1e-4).all()),
        "is_positive": bool((loadings >= 0).all() and (components >= 0).all()),
        "heights": bool((components.max(axis=1) == 1).all()),
        "passes": int(found["Passes"].item()),
    }


def truth(path, output, name, kind):
    """How far amounts and spectra are from those that a scan was made of, of the largest of each."""
    _, loadings, components, _ = read(path, output, name)
    amounts, spectra = parts(kind)
    heights = spectra.max(axis=1)
    amounts, spectra = amounts * heights, spectra / heights[:, None]
    order = [int(np.abs(components - row).sum(axis=1).argmin()) for row in spectra]
    return {
        "order": sorted(order),
        "spectra": float(np.abs(components[order] - spectra).max()),
        "amounts": float(np.abs(loadings[:, order] - amounts).max() / amounts.max()),
    }


def kept(path, output, name):
    values, loadings, components, found = read(path, output, name)
    rebuilt = np.abs(loadings @ components - values).max() / max(1, values.max())
    return {
        "finite": bool(all(np.isfinite(value).all() for value in found.values())),
        "rebuilt": float(rebuilt),
        "empty": float(np.abs(loadings.reshape(*SCAN, -1)[3, :5]).max()),
        "heights": components.max(axis=1).tolist(),
        "loadings": np.abs(loadings).max(axis=0).tolist(),
        "error": found["Relative_Error"].item(),
    }


def apart(path, one, other, name):
    """How far two results are from each other."""
    _, *first, _ = read(path, one, name)
    _, *second, _ = read(path, other, name)
    return {"most": max(float(np.abs(a - b).max() / np.abs(a).max()) for a, b in zip(first, second))}


if __name__ == "__main__":
    answer(globals())
