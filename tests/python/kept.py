"""Some of the numbers of results, to be kept beside a sample."""

import h5py

from answer import answer


def kept(path, name, count):
    """About so many of each result and field, a complex number as two; null where there is none."""
    with h5py.File(path) as file:
        group = file[name]
        names = [name for name in sorted(group) if "quantity" in group[name].attrs and not group[name].is_scale]
        # Of residuals rounding has the last word.
        found = {name: group[name][()].ravel() for name in names if name != "Residual"}
    columns = {
        f"{name} {field}" if field else name: values[field] if field else values
        for name, values in found.items()
        for field in values.dtype.names or [""]
    }
    return {name: [None if x != x else x for x in some(values, int(count)).tolist()] for name, values in columns.items()}


def some(values, count):
    values = values[:: max(1, values.size // count)].copy()
    return values.view(values.real.dtype) if values.dtype.kind == "c" else values


if __name__ == "__main__":
    answer(globals())
