"""The page of a real program in a real browser, for tests that click and type as people do.

Whatever else a test looks at, it fails if the page has said anything on the console that is wrong, if the browser has
refused something by the page's policy, or if it was asked to talk to another host. With PIXELMILL_PICTURES=FOLDER each
test leaves there what its pages looked like in the end, to be looked at.
"""

import json
import os
import shutil
import signal
import subprocess
from pathlib import Path
from urllib.parse import urlsplit

import h5py
import numpy as np
import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright

from seen import Seen

ROOT = Path(__file__).parents[2]
TARGET = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
PROGRAM = Path(os.environ.get("PIXELMILL_PROGRAM", TARGET / "release/examples/trial"))
PICTURES = os.environ.get("PIXELMILL_PICTURES")

# Longer than anything takes, even on a busy machine.
expect.set_options(timeout=60_000)


class Server:
    """`pixelmill view FILE`, while it runs."""

    def __init__(self, file: Path, port: int = 0):
        self.file = file
        command = [PROGRAM, "view", file, "--json", "--no-browser", "--port", str(port)]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        told = json.loads(self.process.stdout.readline())
        self.address = told["address"]
        self.port = urlsplit(self.address).port

    def kill(self) -> None:
        """SIGKILL."""
        self.process.kill()
        self.process.wait()

    def end(self) -> int:
        """Ctrl-C, and how it has ended."""
        self.process.send_signal(signal.SIGINT)
        return self.process.wait(60)


class Opened:
    """Opens pages, and remembers what went wrong in them."""

    def __init__(self, browser: Browser, name: str):
        self.browser = browser
        self.name = name
        self.contexts: list[BrowserContext] = []
        self.pages: list[Page] = []
        self.wrong: list[str] = []
        # What a browser says of a server that was killed and of the next one's cookie, and of what was refused.
        self.may_be_lost = False
        self.may_be_refused = False

    def page(self, address: str, size: tuple[int, int] = (1280, 720), dark: bool = False) -> Seen:
        """A page of its own: another browser, as far as cookies know."""
        scheme = "dark" if dark else "light"
        context = self.browser.new_context(viewport={"width": size[0], "height": size[1]}, color_scheme=scheme)
        self.contexts.append(context)
        return self.another(context, address)

    def another(self, context: BrowserContext, address: str) -> Seen:
        """One more page in the same browser."""
        page = context.new_page()
        host = urlsplit(address).netloc
        page.on("console", lambda message: message.type in ("error", "warning") and self.went_wrong(message.text))
        page.on("pageerror", lambda error: self.wrong.append(f"uncaught: {error}"))
        page.on("request", lambda request: self.requested(request.url, host))
        page.on("dialog", lambda dialog: (self.wrong.append(f"a dialog: {dialog.message}"), dialog.dismiss()))
        self.pages.append(page)
        page.goto(address)
        return Seen(page)

    def went_wrong(self, text: str) -> None:
        is_of_loss = self.may_be_lost and ("net::ERR" in text or "status of 403" in text)
        is_refusal = self.may_be_refused and any(f"status of {status}" in text for status in (400, 404, 409, 422))
        if not (is_of_loss or is_refusal):
            self.wrong.append(text)

    def requested(self, url: str, host: str) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("data", "blob") and (parts.scheme, parts.netloc) != ("http", host):
            self.wrong.append(f"asked for {url}")

    def close(self) -> None:
        for number, page in enumerate(self.pages):
            if PICTURES and not page.is_closed():
                page.screenshot(path=Path(PICTURES) / f"{self.name}_{number}.png")
        for context in self.contexts:
            context.close()
        assert not self.wrong, "\n".join(self.wrong)


@pytest.fixture(scope="session")
def browser():
    path = shutil.which("chromium")
    assert path, "run `scripts/setup tests` first: chromium is missing"
    quiet = ["disable-gpu", "disable-quic", "no-first-run", "disable-background-networking"]
    quiet += ["disable-component-update", "disable-sync", "no-sandbox", "force-color-profile=srgb"]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=[f"--{option}" for option in quiet])
        yield browser
        browser.close()


@pytest.fixture
def opened(browser: Browser, request: pytest.FixtureRequest):
    if PICTURES:
        Path(PICTURES).mkdir(parents=True, exist_ok=True)
    opened = Opened(browser, request.node.name)
    yield opened
    opened.close()


@pytest.fixture
def serve():
    """Starts servers, which end with the test."""
    servers: list[Server] = []

    def start(file: Path, port: int = 0) -> Server:
        servers.append(Server(file, port))
        return servers[-1]

    yield start
    for server in servers:
        server.kill()


@pytest.fixture
def line_scan(tmp_path: Path) -> Path:
    """Complex spectra in an h5USID file, 64 × 64 positions with 119 points."""
    return Path(shutil.copy(ROOT / "data/be_line_scan_64x64.h5", tmp_path / "scan.h5"))


@pytest.fixture
def frames(tmp_path: Path) -> Path:
    """Frames in a plain file, 12 × 16 positions with 24 × 32 points: a disk that moves with the position."""
    path = tmp_path / "frames.h5"
    rows, columns = np.mgrid[:24, :32]
    values = np.random.default_rng(1).integers(0, 100, (12, 16, 24, 32), np.uint16)
    for y in range(12):
        for x in range(16):
            values[y, x] += (900 * ((rows - 6 - y) ** 2 + (columns - 8 - x) ** 2 <= 16)).astype(np.uint16)
    with h5py.File(path, "w") as file:
        file.create_dataset("frames", data=values, chunks=(2, 4, 24, 32), compression="gzip")
    return path


@pytest.fixture
def command():
    """Runs the program with --json, which has to succeed."""

    def run(*arguments: object) -> dict:
        ran = subprocess.run([PROGRAM, *map(str, arguments), "--json"], capture_output=True, check=True, text=True)
        return json.loads(ran.stdout)

    return run
