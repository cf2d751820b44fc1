"""What a person sees of the page, and does with it."""

import base64
import time
from collections.abc import Callable

import numpy as np
from playwright.sync_api import Locator, Page, expect

# A canvas as its pixels are, which the page's policy forbids nobody to look at who has opened it.
PIXELS = """canvas => {
    const { width, height } = canvas;
    const copy = new OffscreenCanvas(width, height).getContext("2d", { willReadFrequently: true });
    copy.drawImage(canvas, 0, 0);
    const bytes = copy.getImageData(0, 0, width, height).data;
    let text = "";
    for (let at = 0; at < bytes.length; at += 32768) text += String.fromCharCode(...bytes.subarray(at, at + 32768));
    return [width, height, btoa(text)];
}"""


def until(what: str, is_so: Callable[[], bool]) -> None:
    """Waits until something can be seen."""
    begun = time.monotonic()
    while not is_so():
        assert time.monotonic() - begun < 60, f"waited in vain until {what}"
        time.sleep(0.01)


class Seen:
    """A page."""

    def __init__(self, page: Page):
        self.page = page
        self.navigator = page.locator("#navigator")
        self.signal = page.locator("#signal")

    def at(self, selector: str) -> Locator:
        return self.page.locator(selector)

    def told(self, canvas: Locator, name: str) -> str:
        return canvas.get_attribute(f"data-{name}") or ""

    @property
    def position(self) -> int:
        return int(self.told(self.navigator, "position"))

    def is_drawn(self) -> "Seen":
        """Waits until all of the image is there, and what was measured at its cursor."""
        expect(self.navigator).to_have_attribute("data-complete", "true")
        self.follows()
        return self

    def follows(self) -> None:
        """Waits until the spectrum or frame is that of the cursor."""
        until("the signal follows", lambda: self.told(self.signal, "position") == str(self.position))

    def hover(self, x: float, y: float) -> int:
        """Moves the mouse in the image; the position that is shown then."""
        box = self.navigator.bounding_box()
        self.page.mouse.move(box["x"] + x, box["y"] + y)
        self.is_painted()
        return self.position

    def is_painted(self) -> None:
        """Waits until what the mouse has done so far is seen."""
        self.page.evaluate("() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")

    def cells(self, rows: int, columns: int) -> "Cells":
        """Where the cells of the image are: found by the mouse."""
        return Cells(self, rows, columns)

    def pixels(self, canvas: Locator) -> np.ndarray:
        """Rows of columns of red, green, blue and opacity."""
        width, height, text = canvas.evaluate(PIXELS)
        return np.frombuffer(base64.b64decode(text), np.uint8).reshape(height, width, 4)

    def choose_process(self, name: str, **parameters: object) -> None:
        self.at("#process").select_option(name)
        for parameter, value in parameters.items():
            self.at(f"#parameters [name={parameter}]").fill(str(value))

    def begin(self) -> None:
        """Plans a run, and starts it."""
        self.at("#run").click()
        self.at("#start").click()

    def has_ended(self, words: str) -> None:
        """Waits until a run has ended so."""
        expect(self.at("#running")).to_have_attribute("data-state", "ended")
        expect(self.at("#running-says")).to_contain_text(words)


class Cells:
    """The cells of an image, by edges that are found with the mouse to a quarter of a pixel."""

    def __init__(self, seen: Seen, rows: int, columns: int):
        self.seen, self.shape = seen, (rows, columns)
        box = seen.navigator.bounding_box()
        self.middle = self._inside(box["width"] / 2, box["height"] / 2)
        self.left, self.width = self._axis(0, columns, lambda at: at % columns, box["width"])
        self.top, self.height = self._axis(1, rows, lambda at: at // columns, box["height"])

    def _inside(self, x: float, y: float) -> tuple[float, float]:
        self.seen.hover(x, y)
        return x, y

    def _axis(self, which: int, count: int, step: Callable[[int], int], length: float) -> tuple[float, float]:
        """The first edge, and how far the edges are from each other."""

        def edge(before: int) -> float:
            low, high = 0.0, length
            while high - low > 0.25:
                middle = (low + high) / 2
                place = list(self.middle)
                place[which] = middle
                # Outside of the image nothing changes: which side that is, the middle of the canvas tells.
                here = self._step(place, step, which, count, length)
                low, high = (middle, high) if here < before else (low, middle)
            return (low + high) / 2

        first, last = edge(1), edge(count - 1)
        size = (last - first) / (count - 2)
        return first - size, size

    def _step(self, place: list[float], step: Callable[[int], int], which: int, count: int, length: float) -> int:
        self.seen.hover(*self.middle)
        middle = step(self.seen.position)
        here = step(self.seen.hover(*place))
        if here == middle and abs(place[which] - self.middle[which]) > length / count:
            return -1 if place[which] < self.middle[which] else count
        return here

    def place(self, row: int, column: int) -> tuple[float, float]:
        """The middle of a cell, in the canvas."""
        return self.left + (column + 0.5) * self.width, self.top + (row + 0.5) * self.height

    def hover(self, row: int, column: int) -> int:
        return self.seen.hover(*self.place(row, column))

    def click(self, row: int, column: int) -> None:
        x, y = self.place(row, column)
        self.seen.navigator.click(position={"x": x, "y": y})

    def colours(self) -> np.ndarray:
        """The colour in the middle of each cell; of those under the cursor's lines, that of an edge."""
        pixels = self.seen.pixels(self.seen.navigator)
        ratio = pixels.shape[1] / self.seen.navigator.bounding_box()["width"]
        rows, columns = self.shape
        found = np.zeros((rows, columns, 3), np.uint8)
        for row in range(rows):
            for column in range(columns):
                x, y = (int(ratio * at) for at in self.place(row, column))
                found[row, column] = pixels[y, x, :3]
        return found
