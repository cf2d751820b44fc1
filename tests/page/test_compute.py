"""Computing: tried at a position, planned, run, watched, stopped, killed and gone on with, by clicks and by keys."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import h5py
import numpy as np
import pytest
from playwright.sync_api import expect

from conftest import PROGRAM
from seen import until
from pictures import assert_kept
from seen import until

RAW = "/Measurement_000/Channel_000/Raw_Data"
SLOW = f"{RAW}-Slow_000"


def results(path: Path, group: str = SLOW) -> dict[str, bytes]:
    """All that a run writes, as h5py reads it, but for what depends on how often it was marked."""
    with h5py.File(path) as file:
        found = {name: data[()].tobytes() for name, data in file[group].items() if isinstance(data, h5py.Dataset)}
    found.pop("data_digest", None)
    return found


@pytest.fixture
def undisturbed(tmp_path, line_scan, command):
    """A copy with the results of a run that nobody disturbed."""
    copy = Path(shutil.copy(line_scan, tmp_path / "undisturbed.h5"))
    command("run", "slow", copy, "-p", "pause=0")
    return copy


def progress(seen) -> float:
    return float(seen.at("#progress").get_attribute("value") or 0)


def test_a_computation_is_tried_where_the_cursor_is(line_scan, serve, opened, command):
    seen = opened.page(serve(line_scan).address).is_drawn()
    seen.choose_process("peak-finding")
    cells = seen.cells(64, 64)

    def assert_tried(position: int, *typed: str) -> None:
        table = seen.at("#result table")
        expect(table).to_have_attribute("data-position", str(position))
        told = command("test", "peak-finding", line_scan, "--pixel", position, *typed)
        for result in told["results"]:
            row = table.locator("tr", has_text=result["name"])
            expected = pytest.approx(result["values"][0], rel=1e-6)
            # What was tried before is there until the next answer is.
            value = lambda row=row: float(re.sub(r"[^0-9.e+−-]", "", row.locator(".number").inner_text()).replace("−", "-"))
            until(f"{result['name']} is {expected}", lambda: value() == expected)
        expect(seen.signal).to_have_attribute("data-tried", "true")

    cells.click(12, 34)
    seen.at("#test").click()
    assert_tried(12 * 64 + 34)
    # Again whenever the cursor or a parameter moves.
    seen.at("#follow").check()
    cells.click(40, 3)
    assert_tried(40 * 64 + 3)
    field = seen.at("#parameters [name=width_min]")
    field.fill("35")
    assert_tried(40 * 64 + 3, "-p", "width_min=35")
    opened.may_be_refused = True
    field.fill("-1")
    expect(seen.at("#process-says")).to_contain_text("width_min")
    field.fill("20")
    expect(seen.at("#process-says")).to_be_hidden()


def test_a_run_survives_the_death_of_its_server_and_ends_in_the_same_map(line_scan, serve, opened, undisturbed):
    server = serve(line_scan)
    seen = opened.page(server.address).is_drawn()
    seen.choose_process("slow", pause=1500)
    seen.at("#run").click()
    expect(seen.at("#plan")).to_contain_text("4,096 of 4,096 to compute")
    seen.at("#start").click()
    # Its map fills in.
    expect(seen.navigator).to_have_attribute("data-path", f"{SLOW}/Slow_Sum")
    expect(seen.at("#survey")).to_contain_text("pending")
    pending = seen.at("#survey").inner_text()
    until("more is marked", lambda: seen.at("#survey").inner_text() != pending)
    until("a third is done", lambda: progress(seen) > 0.3)
    opened.may_be_lost = True
    server.kill()
    expect(seen.at("#connection")).to_contain_text("the server has gone")
    seen.page.close()

    again = serve(line_scan, server.port)
    seen = opened.page(again.address).is_drawn()
    group = seen.at(f"[data-group='{SLOW}']")
    expect(group).to_contain_text("partial")
    group.locator("[data-action=resume]").click()
    expect(seen.at("#plan")).to_contain_text("Goes on with partial results")
    seen.at("#start").click()
    seen.has_ended("is done: 4,096 of 4,096")
    expect(group).to_contain_text("complete")
    group.locator("[data-action=show]").click()
    expect(seen.navigator).to_have_attribute("data-path", f"{SLOW}/Slow_Sum")
    seen.is_drawn()
    assert results(line_scan) == results(undisturbed)
    cells = seen.cells(64, 64)
    cells.click(63, 63)
    found = cells.colours()[:63, :63]
    other = opened.page(f"{serve(undisturbed).address}&image={SLOW}&position=4095").is_drawn()
    expected = other.cells(64, 64)
    expected.click(63, 63)
    assert (found == expected.colours()[:63, :63]).all(axis=2).mean() > 0.99
    assert_kept("slow", found)
    with h5py.File(line_scan) as file:
        sums = file[f"{SLOW}/Slow_Sum"][:, 0]
    assert float(seen.told(seen.navigator, "value")) == pytest.approx(sums[-1], rel=1e-12)


def test_two_pages_see_one_run_and_either_stops_it(line_scan, serve, opened):
    server = serve(line_scan)
    first = opened.page(server.address).is_drawn()
    first.choose_process("slow", pause=1500)
    first.begin()
    until("it computes", lambda: progress(first) > 0)
    second = opened.page(server.address)
    expect(second.at("#running-what")).to_contain_text(SLOW)
    third = opened.another(first.page.context, server.address)
    expect(third.at("#running-what")).to_contain_text(SLOW)
    # Closing a page doesn't end it.
    third.page.close()
    until("it goes on", lambda: progress(second) > 0.1)
    opened.may_be_refused = True
    # Only one at a time.
    answer = second.page.evaluate(
        """() => fetch("api/run", {
            method: "POST", headers: { "Content-Type": "application/json" }, body: '{"process": "peak-finding"}',
        }).then(answer => answer.status)"""
    )
    assert answer == 409
    opened.wrong = [wrong for wrong in opened.wrong if "status of 409" not in wrong]
    second.at("#stop").click()
    for seen in (first, second):
        seen.has_ended("was stopped")
        expect(seen.at("#stop")).to_be_hidden()
    assert 0 < np.frombuffer(results(line_scan)["completed_positions"], np.uint8).sum() < 4096
    assert server.process.poll() is None


def test_the_keyboard_alone_suffices(line_scan, serve, opened):
    seen = opened.page(serve(line_scan).address).is_drawn()
    press = seen.page.keyboard.press
    press("i")
    expect(seen.navigator).to_be_focused()
    for key in ["ArrowRight", "ArrowDown", "Shift+ArrowRight", "Shift+ArrowDown", "ArrowLeft", "ArrowUp"]:
        press(key)
    expect(seen.navigator).to_have_attribute("data-position", str(64 * 10 + 10))
    press("End")
    expect(seen.navigator).to_have_attribute("data-position", "4095")
    press("Home")
    expect(seen.navigator).to_have_attribute("data-position", "0")
    seen.follows()
    # To the process, which is chosen by its first letters.
    focused = "() => document.activeElement.id"
    reached = set()
    while seen.page.evaluate(focused) != "process":
        press("Tab")
        reached.add(seen.page.evaluate(focused))
        assert len(reached) < 60
    seen.page.keyboard.type("peak")
    expect(seen.at("#process")).to_have_value("peak-finding")
    while seen.page.evaluate(focused) != "test":
        press("Tab")
    press("Space")
    expect(seen.at("#result table")).to_have_attribute("data-position", "0")
    seen.navigator.focus()
    press("s")
    expect(seen.signal).to_be_focused()
    press("?")
    expect(seen.at("#keys")).to_be_visible()
    press("Escape")
    expect(seen.at("#keys")).to_be_hidden()
    press("i")
    press("t")
    expect(seen.at("#result table")).to_have_attribute("data-position", "0")
    press("r")
    expect(seen.at("#start")).to_be_focused()
    press("Enter")
    seen.has_ended("is done: 4,096 of 4,096")
    # Everything that can be clicked can be reached, and shows that it is.
    unreachable = seen.page.evaluate(
        """() => [...document.querySelectorAll("button, select, input, a, [data-action]")]
            .filter(one => one.offsetParent && !one.disabled && one.tabIndex < 0).map(one => one.outerHTML)"""
    )
    assert unreachable == []


def test_results_are_verified_explained_and_removed(line_scan, serve, opened, command):
    made = command("run", "peak-finding", line_scan, "--positions", "0:640")["group"]
    seen = opened.page(serve(line_scan).address).is_drawn()
    group = seen.at(f"[data-group='{made}']")
    group.locator("[data-action=verify]").click()
    expect(group).to_contain_text("100 of 640 completed positions were computed again: all are the same, bit by bit")
    group.locator("[data-action=commands]").click()
    expect(group.locator("pre")).to_contain_text(f" run peak-finding {line_scan}")
    group.locator("[data-action=show]").click()
    expect(seen.navigator).to_have_attribute("data-path", re.compile(re.escape(made)))
    expect(seen.at("#survey")).to_contain_text("3,456 pending")
    group.locator("[data-action=remove]").click()
    group.get_by_role("button", name="Keep").click()
    with h5py.File(line_scan) as file:
        assert made in file
    group.locator("[data-action=remove]").click()
    group.locator("[data-action=remove-now]").click()
    expect(seen.at("#groups")).to_contain_text("There are none yet.")
    with h5py.File(line_scan) as file:
        assert made not in file
    expect(seen.navigator).to_have_attribute("data-path", RAW)


def test_failed_positions_are_told_with_their_reason(line_scan, serve, opened):
    seen = opened.page(serve(line_scan).address).is_drawn()
    seen.choose_process("trouble")
    seen.begin()
    seen.has_ended("failed")
    group = seen.at(f"[data-group='{RAW}-Trouble_000']")
    expect(group).to_contain_text("no value")
    expect(seen.at("#survey")).to_contain_text("failed (crossed)")
    seen.navigator.focus()
    seen.page.keyboard.press("Home")
    seen.at("#test").click()
    expect(seen.at("#result")).to_contain_text("it has failed: no value")


def test_the_page_of_a_run_shows_it_and_offers_to_stop_it_alone(line_scan, opened):
    arguments = ["run", "slow", line_scan, "-p", "pause=1500", "--view", "--json"]
    home = os.environ | {"XDG_STATE_HOME": str(line_scan.parent)}
    running = subprocess.Popen([PROGRAM, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=home)
    kept = next(line.strip() for line in running.stderr if "/pixelmill-view-" in line)
    address = Path(kept).read_text().strip()
    seen = opened.page(address)
    expect(seen.at("#running-what")).to_contain_text(SLOW)
    until("it computes", lambda: progress(seen) > 0)
    expect(seen.at("#run")).to_be_hidden()
    assert seen.page.locator("[data-action=remove]:visible").count() == 0
    opened.may_be_lost = True
    seen.at("#stop").click()
    out, _ = running.communicate(timeout=60)
    assert '"outcome":"stopped"' in out
    seen.has_ended("was stopped")


def contrast(one: list[float], other: list[float]) -> float:
    """How far two colours are from each other, as WCAG has it."""

    def light(colour: list[float]) -> float:
        parts = np.array(colour[:3]) / 255
        linear = np.where(parts <= 0.03928, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4)
        return float(linear @ [0.2126, 0.7152, 0.0722])

    high, low = sorted((light(one), light(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


COLOURS = """() => {
    const own = (name, of) => getComputedStyle(of)[name].match(/[0-9.]+/g).map(Number);
    const paper = of => {
        const colour = own("backgroundColor", of);
        return colour.length === 4 && colour[3] === 0 ? paper(of.parentElement ?? document.body) : colour;
    };
    return [...document.querySelectorAll("h1, h2, label, button:enabled, p, span, output, summary, td, th")]
        .filter(one => one.offsetParent && one.textContent.trim())
        .map(one => [one.outerHTML.slice(0, 90), own("color", one), paper(one)]);
}"""


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("size", [(1280, 720), (3840, 2160)])
def test_it_is_readable_in_light_and_dark_on_small_and_large_screens(line_scan, serve, opened, dark, size, command):
    command("run", "peak-finding", line_scan, "--positions", "0:640")
    seen = opened.page(serve(line_scan).address, size, dark).is_drawn()
    seen.choose_process("peak-finding")
    seen.at("#test").click()
    expect(seen.at("#result table")).to_be_visible()
    for what, ink, paper in seen.page.evaluate(COLOURS):
        assert contrast(ink, paper) >= 4.5, f"{what}: {ink} on {paper}"
    paper = seen.page.evaluate("() => getComputedStyle(document.documentElement).backgroundColor.match(/[0-9]+/g)")
    assert (sum(map(int, paper)) < 300) == dark
    # All that one begins with is there at once, and nothing lies outside.
    for name in ["#navigator", "#signal", "#process", "#test", "#run", "#position"]:
        box = seen.at(name).bounding_box()
        assert box["x"] >= 0 and box["x"] + box["width"] <= size[0], name
        assert box["y"] >= 0 and box["y"] + box["height"] <= size[1], name
    wide = seen.page.evaluate("() => document.documentElement.scrollWidth - document.documentElement.clientWidth")
    assert wide == 0
    letters = seen.page.evaluate("() => parseFloat(getComputedStyle(document.body).fontSize)")
    assert letters >= (14 if size[0] < 2000 else 20)
    # It can be turned round, which stays.
    seen.at("#theme").click()
    is_dark = "() => document.documentElement.classList.contains('dark')"
    assert seen.page.evaluate(is_dark) != dark
    seen.page.reload()
    seen.is_drawn()
    assert seen.page.evaluate(is_dark) != dark
