"""The processes that the engine has."""

import json
from dataclasses import dataclass
from typing import Any

from . import _pixelmill


@dataclass(frozen=True)
class Parameter:
    """A parameter of a process."""

    name: str
    """Its name, which is that of the keyword argument."""
    kind: str
    """What its values are: `number`, `integer`, `text`, `true/false`, a list of choices."""
    unit: str | None
    """Units of its values, if they have any."""
    default: Any
    """The value that it has if it isn't given."""
    minimum: float | None
    """The smallest value allowed, if there is one."""
    maximum: float | None
    """The largest value allowed, if there is one."""
    help: str
    """What it means."""

    def __str__(self) -> str:
        default = f"{self.default} {self.unit or ''}".strip()
        return f"{self.name}={default} ({self.kind}): {self.help}"


@dataclass(frozen=True)
class ProcessInfo:
    """A process that `Scan.run` runs."""

    name: str
    """Its name, as `Scan.run` takes it."""
    summary: str
    """What it does."""
    version: int
    """Its version: results of another one aren't reused."""
    parameters: tuple[Parameter, ...]
    """Its parameters."""

    def __repr__(self) -> str:
        lines = [f"{self.name}: {self.summary}", *(f"    {parameter}" for parameter in self.parameters)]
        return "\n".join(lines)


class Processes(tuple[ProcessInfo, ...]):
    """Processes, which show themselves one below the other."""

    def __repr__(self) -> str:
        return "\n".join(map(repr, self))


def list_processes() -> Processes:
    """The processes that `Scan.run` runs, with their parameters."""
    listed = json.loads(_pixelmill.list_processes())["processes"]
    return Processes(
        ProcessInfo(
            name=process["command"],
            summary=process["summary"],
            version=process["version"],
            parameters=tuple(Parameter(**parameter) for parameter in process["parameters"]),
        )
        for process in listed
    )
