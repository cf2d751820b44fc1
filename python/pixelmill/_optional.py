"""Packages that needn't be there."""

import importlib
from typing import Any

from ._errors import MissingPackageError


def needed(module: str, what: str) -> Any:
    """A module of another package, which `what` can't do without."""
    try:
        return importlib.import_module(module)
    except ImportError as error:
        package = module.partition(".")[0]
        message = (
            f"{what} needs the package `{package}`, which can't be imported here: {error}; `pip install {package}`"
        )
        raise MissingPackageError(message, "MissingPackage", {"package": package, "reason": str(error)}) from None
