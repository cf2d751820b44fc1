"""Looking: the image, what is under the cursor, detectors, and where the address leads."""

import json
import urllib.request
from pathlib import Path

import h5py
import numpy as np
import pytest
from playwright.sync_api import expect

from pictures import assert_kept
from seen import until

RAW = "/Measurement_000/Channel_000/Raw_Data"


def colours_of(values: np.ndarray, even: np.ndarray) -> np.ndarray:
    """A map's colours: between the 2nd and the 98th percentile."""
    low, high = np.percentile(values, [2, 98])
    part = np.clip((values - low) / (high - low), 0, 1)
    return even[np.round(part * (len(even) - 1)).astype(int)]


def magnitudes(path: Path) -> np.ndarray:
    """The image of the line scan, as h5py and NumPy have it."""
    with h5py.File(path) as file:
        return np.abs(file[RAW][()].astype(complex)).sum(axis=1).reshape(64, 64)


def test_the_page_opens_with_the_image_that_h5py_reads(line_scan, serve, opened):
    server = serve(line_scan)
    seen = opened.page(server.address).is_drawn()
    expect(seen.page).to_have_title("scan.h5 · pixelmill")
    assert "token" not in seen.page.url
    expect(seen.at("#connection")).to_contain_text("connected")
    even = np.array(seen.page.evaluate("() => fetch('api/colours').then(answer => answer.json())")["even"])
    values = magnitudes(line_scan)
    cells = seen.cells(64, 64)
    cells.hover(63, 63)
    found = cells.colours()
    # But for the lines of the cursor, in the last row and column.
    expected = colours_of(values, even)
    far = np.abs(found[:63, :63].astype(int) - expected[:63, :63]).max(axis=2)
    assert (far <= 8).mean() > 0.995, f"{(far > 8).sum()} cells have other colours"
    assert_kept("sum", found[:63, :63])


def test_the_spectrum_follows_the_mouse_until_the_cursor_is_pinned(line_scan, serve, opened):
    seen = opened.page(serve(line_scan).address).is_drawn()
    values = magnitudes(line_scan)
    cells = seen.cells(64, 64)
    for row, column in [(0, 0), (7, 50), (33, 2), (63, 62)]:
        assert cells.hover(row, column) == 64 * row + column
        assert float(seen.told(seen.navigator, "value")) == pytest.approx(values[row, column], rel=1e-12)
        seen.follows()
        assert seen.told(seen.signal, "path") == RAW
    cells.click(10, 20)
    assert seen.position == 660
    cells.hover(40, 40)
    assert seen.position == 660, "it is pinned"
    expect(seen.at("#position")).to_contain_text("pinned")
    assert "position=660" in seen.page.url
    seen.page.reload()
    seen.is_drawn()
    assert seen.position == 660
    # A link shows the same place to somebody else.
    address = f"{serve(line_scan).address}&{seen.page.url.split('?')[1]}"
    other = opened.page(address).is_drawn()
    assert other.position == 660
    seen.navigator.dblclick(position=dict(zip("xy", cells.place(30, 30), strict=True)))
    cells.hover(40, 40)
    assert seen.position == 64 * 40 + 40


def test_what_is_drawn_of_a_spectrum_is_chosen(line_scan, serve, opened):
    seen = opened.page(serve(line_scan).address).is_drawn()
    before = seen.pixels(seen.signal)
    seen.at("#part").select_option("phase")
    expect(seen.signal).to_have_attribute("data-part", "phase")
    phase = seen.pixels(seen.signal)
    assert (before != phase).any()
    seen.at("#part").select_option("amplitude")
    seen.at("#scale").select_option("log")
    until("it is drawn anew", lambda: (seen.pixels(seen.signal) != before).any())
    assert "scale=log" in seen.page.url
    seen.page.go_back()


def opened_frames(frames, serve, opened):
    """The page of frames, once it was told which axes are positions."""
    seen = opened.page(serve(frames).address)
    axes = seen.at("#axes")
    expect(axes).to_be_visible()
    axes.fill("0,1")
    axes.press("Enter")
    return seen.is_drawn()


def test_a_detector_is_drawn_with_the_mouse(frames, serve, opened):
    seen = opened_frames(frames, serve, opened)
    with h5py.File(frames) as file:
        values = file["frames"][()].astype(float)
    rows, columns = np.mgrid[:24, :32]
    assert seen.told(seen.signal, "kind") == "image"
    box = seen.signal.bounding_box()
    middle = (box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    drawn = {}
    for kind in ["disk", "ring", "rectangle"]:
        seen.at("#tool").select_option(kind)
        expect(seen.navigator).to_have_attribute("data-complete", "true")
        before = seen.told(seen.signal, "detector")
        # What is there is taken in its middle, and moved.
        seen.page.mouse.move(*middle)
        seen.page.mouse.down()
        seen.page.mouse.move(middle[0] + 30, middle[1] - 20, steps=4)
        seen.page.mouse.up()
        until("it has moved", lambda: seen.told(seen.signal, "detector") not in ("", before))
        drawn[kind] = seen.told(seen.signal, "detector")
        name, numbers = drawn[kind].split(":")
        assert name == kind
        numbers = [float(number) for number in numbers.split(",")]
        if kind == "rectangle":
            top, left, bottom, right = numbers
            inside = (rows >= top) & (rows <= bottom) & (columns >= left) & (columns <= right)
        else:
            away = np.hypot(rows - numbers[0], columns - numbers[1])
            inside = away <= numbers[-1]
            if kind == "ring":
                inside &= away >= numbers[2]
        sums = (values * inside).sum(axis=(2, 3))
        assert sums.std() > 0
        for position in [0, 77, 191]:
            at = np.unravel_index(position, sums.shape)
            for axis in (0, 1):
                field = seen.at(f"#steps input[data-axis='{axis}']")
                field.fill(str(at[axis]))
                field.press("Enter")
            expect(seen.navigator).to_have_attribute("data-position", str(position))
            said = f"{kind} at {position}"
            until(said, lambda: float(seen.told(seen.navigator, "value") or "nan") == sums[at])
    assert len(set(drawn.values())) == 3
    # A number of it is typed.
    seen.at("#tool").select_option("disk")
    seen.at("#detector-fields input[data-name=radius]").fill("5")
    seen.at("#detector-fields input[data-name=radius]").press("Enter")
    until("it is larger", lambda: seen.told(seen.signal, "detector").endswith(",5"))


def test_names_in_a_file_are_shown_and_do_nothing(tmp_path, serve, opened):
    path = tmp_path / "<img src=x onerror=alert(1)>.h5"
    attack = "<img src=x onerror=alert(2)>"
    with h5py.File(path, "w") as file:
        data = file.create_dataset(attack, data=np.arange(60.0).reshape(3, 4, 5))
        data.attrs["quantity"] = "<script>alert(3)</script>"
        data.attrs["units"] = "\"><svg onload=alert(4)>"
    seen = opened.page(serve(path).address)
    axes = seen.at("#axes")
    axes.fill("0,1")
    axes.press("Enter")
    seen.is_drawn()
    expect(seen.at("#dataset")).to_contain_text("onerror=alert(2)")
    assert seen.page.locator("img, svg").count() == 0
    assert seen.page.locator("script").count() == 1


def test_what_cannot_be_shown_is_said_where_it_is_missed(line_scan, serve, opened):
    server = serve(line_scan)
    # An address that somebody has spoiled leads to the scan.
    opened.page(f"{server.address}&dataset=%2Fnothing&position=abc&image=%2Fnowhere&parameters=%7B").is_drawn()
    seen = opened.page(server.address).is_drawn()
    opened.may_be_refused = True
    seen.choose_process("peak-finding", width_min=-1)
    seen.at("#test").click()
    expect(seen.at("#process-says")).to_contain_text("`width_min`")
    seen.choose_process("peak-finding", width_min=20)
    line_scan.write_bytes(b"no longer HDF5")
    seen.at("#test").click()
    expect(seen.at("#process-says")).to_contain_text("not an HDF5 file")


def test_nobody_is_let_in_without_the_address(line_scan, serve, opened):
    server = serve(line_scan)
    opened.may_be_lost = True
    page = opened.page(server.address.split("?")[0]).page
    assert "its token" in page.inner_text("body")
    with urllib.request.urlopen(server.address) as answer:
        assert answer.status == 200
    assert json.dumps(server.address) not in page.content()
