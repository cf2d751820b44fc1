from collections.abc import Callable
from os import PathLike
from typing import Any, final

__all__ = [
    "HAS_MPI",
    "Computed",
    "Source",
    "__version__",
    "abort",
    "are_several",
    "fold",
    "info",
    "join",
    "leave",
    "list_processes",
    "machine",
    "map",
    "run",
    "status",
    "test",
    "test_fold",
    "test_map",
]

HAS_MPI: bool
__version__: str

@final
class Computed:
    def axes(self, dataset: str) -> str: ...
    def summary(self) -> str: ...
    def datasets(self) -> str: ...
    def part(self, dataset: str, field: str | None, start: int, end: int) -> bytes: ...

@final
class Source:
    def __new__(cls, options: str) -> Source: ...
    def description(self) -> str: ...
    def read(self, runs: list[tuple[int, int]]) -> bytearray | None: ...
    @staticmethod
    def memory(text: str | None) -> int: ...

def abort(status: int) -> None: ...
def are_several() -> bool: ...
def fold(
    options: str,
    declared: str,
    compute: Callable[
        [str, list[int], bytes, list[tuple[int, int]], list[bytes], list[bytes] | None, list[bytes]],
        tuple[list[bytes], list[tuple[int, str]], str | None],
    ],
    abandon: Callable[[], object] | None,
    watch: Callable[[str], object] | None,
) -> Computed: ...
def info(file: str | PathLike[str]) -> str: ...
def join() -> None: ...
def leave() -> None: ...
def list_processes() -> str: ...
def machine() -> tuple[int, int, int]: ...
def map(
    options: str,
    declared: str,
    compute: Callable[[list[int], Any, list[bytes], bytes | None], tuple[list[bytes], list[tuple[int, str]]]],
    abandon: Callable[[], object] | None,
    watch: Callable[[str], object] | None,
) -> Computed: ...
def run(options: str, process: str, given: str, watch: Callable[[str], object] | None) -> Computed: ...
def status(file: str | PathLike[str], group: str | None) -> str: ...
def test(options: str, process: str, given: str, at: list[int], spectrum: int) -> tuple[str, list[bytes]]: ...
def test_fold(
    options: str,
    declared: str,
    compute: Callable[
        [str, list[int], bytes, list[tuple[int, int]], list[bytes], list[bytes] | None, list[bytes]],
        tuple[list[bytes], list[tuple[int, str]], str | None],
    ],
    abandon: Callable[[], object],
    at: list[int],
    spectrum: int,
) -> tuple[str, list[bytes]]: ...
def test_map(
    options: str,
    declared: str,
    compute: Callable[[list[int], Any, list[bytes], bytes | None], tuple[list[bytes], list[tuple[int, str]]]],
    number: int | None,
    at: list[int],
    spectrum: int,
) -> str: ...
