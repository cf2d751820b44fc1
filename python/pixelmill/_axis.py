"""An axis."""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Axis:
    """An axis of a scan, or of what was measured at each of its positions."""

    name: str
    """Its label."""
    units: str
    """Units of its values."""
    values: NDArray[np.float64] = field(repr=False)
    """A value for each of its steps."""
    binned: bool = False
    """Whether what was measured is summed over the width of a step."""

    def __len__(self) -> int:
        return len(self.values)

    def __str__(self) -> str:
        return f"{self.name or '(no name)'}: {len(self):,} steps, {self._range()}"

    def _range(self) -> str:
        ends = [f"{value:g}" for value in (self.values[0], self.values[-1])] if len(self) else []
        return " … ".join(ends[: len(self)]) + (f" {self.units}" if self.units else "")
