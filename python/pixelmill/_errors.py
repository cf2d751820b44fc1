"""What can go wrong, as exceptions."""

import difflib
import json
from collections.abc import Sequence
from typing import Any


class Error(Exception):
    """What went wrong.

    ``kind`` names it, and each fact of the message is an attribute: of an unknown parameter, say, ``process``,
    ``name``, ``nearest`` and ``known``.
    """

    def __init__(self, message: str, kind: str = "", facts: dict[str, Any] | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.kind = kind
        self.facts = dict(facts or {})

    def __getattr__(self, name: str) -> Any:
        facts = self.__dict__.get("facts", {})
        if name in facts:
            return facts[name]
        raise AttributeError(f"{type(self).__name__} {self.__dict__.get('kind', '')} has no `{name}`")

    def __str__(self) -> str:
        return self.message

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.message, self.kind, self.facts)


class UsageError(Error, ValueError):
    """Something was asked for that can't be had, whatever the file: another call would mend it."""


class PositionError(UsageError, IndexError):
    """The scan has no such position."""


class DatasetError(Error):
    """The file has no dataset that could be computed on as it was asked for."""


class UnsuitableError(Error):
    """The computation can't work on this dataset, or not with these inputs."""


class ResultsError(Error):
    """Results can't be had, resumed or read."""


class MissingResultsError(ResultsError, KeyError):
    """There are no results of that name."""


class FunctionError(Error):
    """A function can't be mapped: its results couldn't be recognised, have no shape, or it can't be called."""


class MissingPackageError(Error, ImportError):
    """What was asked for takes another package, which isn't installed, or can't be imported."""


class BusyError(Error):
    """Somebody else has the file."""


class FileError(Error):
    """A file can't be read, or not be written."""


_KINDS: dict[type[Error], str] = {
    Error: "Panicked OutOfPlace Worker Mpi Rank RankLeft",
    UsageError: """
        UnknownProcess UnknownParameter Parameter Argument Selection NoSelection Axes TooLittleMemory AskedTwice
        AlreadyThere OutputIsSource OutputNamesSource WithoutMpi UnlikeRanks TooManyRanks OtherComputation
    """,
    PositionError: "NoSuchPosition",
    DatasetError: """
        NoMainDataset NoPositionsAxes PositionsAxes SeveralMainDatasets NoSuchDataset BrokenLink NotMain Records
        NoFieldOfRecords NoRecords
    """,
    UnsuitableError: "Conversion Rounded Frames Unsuitable FoldedTogether Auxiliary Constant",
    ResultsError: """
        NotCompressed NoSuchGroup SeveralGroups CannotResume CannotVerify CannotRemove CannotExport SourceNotFound
        NoSuchField ResultsRecords ResultsElement Results
    """,
    MissingResultsError: "NoSuchResults",
    FunctionError: "Function",
    BusyError: "Busy",
    FileError: """
        Io Hdf5 Hdf5Object NotHdf5 Npy PartOfHdf5 Hdf4 Truncated JustChanged FreeSpace Replaced ReplacedWhileOpened
        SourceReplaced SourceMoved SourceChanged ChangedMeanwhile Filter MissingSource UnreadableSource Damaged OtherFile
    """,
}

_CLASS_OF = {kind: of for of, kinds in _KINDS.items() for kind in kinds.split()}
_OF_RANK: dict[str, type[Error]] = {"Usage": UsageError, "Function": FunctionError}


def error(message: str, facts: str) -> Error:
    """The exception for an error of the engine, whose kind and facts are told as JSON."""
    told: dict[str, dict[str, Any]] = json.loads(facts)
    kind, own = next(iter(told.items()), ("", {}))
    of = _OF_RANK.get(own["fault"], Error) if kind == "Rank" else _CLASS_OF.get(kind, Error)
    return of(message, kind, own)


def check_choice(option: str, given: Any, known: Sequence[str]) -> None:
    """Looks whether an option is one of some words."""
    if isinstance(given, str) and given in known:
        return
    *others, last = (f'"{word}"' for word in known)
    near = difflib.get_close_matches(given.lower(), known, 1) if isinstance(given, str) else []
    meant = f' (did you mean "{near[0]}"?)' if near else ""
    facts = {"argument": option, "nearest": near[0] if near else None, "known": list(known)}
    raise UsageError(f"{option}={given!r}: it has to be {', '.join(others)} or {last}{meant}", "Argument", facts)
