"""How far a run is: a bar on a terminal or in a notebook, plain lines elsewhere."""

import json
import sys
import time
from typing import Any

_LINE_SECONDS = 5.0
_WIDTH = 32


class Progress:
    """Shows a run to a person."""

    def __init__(self) -> None:
        self._name = ""
        self._handle: Any = None
        self._is_shown = False
        self._last_line = time.monotonic()

    def __call__(self, news: str) -> None:
        """Shows what has happened, which is told as JSON."""
        told = json.loads(news)
        match told["event"]:
            case "begin":
                self._name = told["process"]
            case "progress":
                self._progress(told)
            case "note":
                self._clear()
                print(f"note: {told['text']}", file=sys.stderr)
            case "end":
                self._clear()

    def _progress(self, told: dict[str, Any]) -> None:
        done, total, seconds = told["done"], max(told["total"], 1), max(told["seconds"], 1e-9)
        rate = done / seconds
        left = _duration((total - done) / rate) + " left" if done else "time left unknown"
        failed = f", {told['failed']:,} failed" if told["failed"] else ""
        speed = f"{rate:,.0f}" if rate >= 10 else f"{rate:.2f}"
        text = f"{speed} positions/s, {told['bytes'] / seconds / 1e6:,.1f} MB/s, {left}{failed}"
        percent = done * 100 // total
        if _is_notebook():
            self._in_notebook(done / total, f"{self._name}: {percent} %, {text}")
        elif sys.stderr is not None and sys.stderr.isatty():
            bar = "█" * (done * _WIDTH // total)
            sys.stderr.write(f"\r\x1b[K{bar:░<{_WIDTH}} {percent:>3} %  {text}")
            sys.stderr.flush()
            self._is_shown = True
        elif time.monotonic() - self._last_line >= _LINE_SECONDS:
            self._last_line = time.monotonic()
            print(f"{self._name}: {percent} %, {text}", file=sys.stderr)

    def _in_notebook(self, part: float, text: str) -> None:
        from IPython.display import HTML, display

        bar = HTML(f'<progress value="{part:.4f}" max="1" style="width: 20em"></progress> {text}')
        if self._handle is None:
            self._handle = display(bar, display_id=True)
        else:
            self._handle.update(bar)

    def _clear(self) -> None:
        if self._is_shown:
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()
            self._is_shown = False


def _is_notebook() -> bool:
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    return type(shell).__name__ == "ZMQInteractiveShell"


def _duration(seconds: float) -> str:
    whole = int(seconds)
    if whole < 60:
        return f"{seconds:.1f} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02} s"
    return f"{whole // 3600} h {whole // 60 % 60:02} min"
