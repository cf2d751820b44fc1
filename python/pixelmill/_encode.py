"""Values as JSON, for the engine."""

import json
import os
from typing import Any

import numpy as np

from ._errors import UsageError


def dumps(values: dict[str, Any]) -> str:
    """Options or parameters as JSON."""
    try:
        return json.dumps(values, default=_plain, allow_nan=False)
    except (TypeError, ValueError):
        wrong = next((name for name, value in values.items() if not _can_be(value)), "")
        raise UsageError(
            f"{wrong}={values.get(wrong)!r}: it has to be a finite number, a text, a bool, None, or a list of these",
            "Argument",
            {"argument": wrong, "reason": "it can't be told as JSON"},
        ) from None


def _can_be(value: Any) -> bool:
    try:
        json.dumps(value, default=_plain, allow_nan=False)
    except (TypeError, ValueError):
        return False
    return True


def _plain(value: Any) -> Any:
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    raise TypeError(type(value).__name__)
