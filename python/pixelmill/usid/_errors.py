"""Errors that pyUSID's users know by another type as well."""

from .._errors import FileError, UsageError


class WrongType(UsageError, TypeError):
    """An argument is of another type than it has to be."""


class ReadOnly(FileError, OSError):
    """Results can't be written to a file that is open for reading."""
