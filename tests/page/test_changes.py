"""What isn't as the page expects it: data that become others, links that lead nowhere, names that nobody would give, many of
all, narrow windows, numbers with more digits than a browser keeps."""

import os
import re
from pathlib import Path

import h5py
import numpy as np
import pytest
from playwright.sync_api import expect

RAW = "/Measurement_000/Channel_000/Raw_Data"
NAMES = [
    "<script>alert(1)</script>",
    "\"quoted' `name`",
    "two\nlines",
    "\u202eright to left \u05d0\u05d1",
    "a & b < c > d; DROP TABLE",
    "$\\sqrt{E$ {unclosed",
    "whole:12345678901234567890",
    "x" * 400,
    "%s %n",
    "\U0001f52c",
]


# A text as it is read and written again, and what can't be written.
EXACT = """async (text) => {
    const { parsed, written, isWritable } = await import("./exact.js");
    const value = parsed(text);
    return [written(value), typeof value.a[1], isWritable(parsed('[1, {"a": 1e999}]')), written("whole:1")];
}"""


def frames_of(path: Path, shape: tuple[int, ...]) -> None:
    """The file anew, in the place of what was there."""
    other = path.with_suffix(".new")
    with h5py.File(other, "w") as file:
        file["frames"] = np.random.default_rng(2).random(shape)
    os.replace(other, path)


def test_a_dataset_that_becomes_another_is_shown_anew(frames, serve, opened):
    seen = opened.page(serve(frames).address)
    opened.may_be_refused = True
    axes = seen.at("#axes")
    axes.fill("0,1")
    axes.press("Enter")
    seen.is_drawn()
    seen.at("#steps input").first.fill("11")
    seen.at("#steps input").first.press("Enter")
    frames_of(frames, (5, 7, 12))
    expect(seen.at("#notice")).to_contain_text("/frames has become another dataset")
    expect(seen.at("#dataset-says")).to_contain_text("35 positions × 12 values")
    expect(seen.at("#steps input").first).to_have_attribute("max", "4")
    seen.is_drawn()
    assert seen.position < 35 and seen.told(seen.signal, "kind") == "curve"
    seen.at("#notice-close").click()
    expect(seen.at("#notice")).to_be_hidden()
    with h5py.File(frames.with_suffix(".new"), "w") as file:
        file["other"] = np.zeros((3, 4))
    os.replace(frames.with_suffix(".new"), frames)
    expect(seen.at("#notice")).to_contain_text("/frames isn't in this file any more")
    expect(seen.at("#dataset option")).to_have_text([re.compile("/other")])
    seen.at("#dataset").select_option("/other")
    expect(seen.at("#axes")).to_be_visible()


def test_a_link_that_leads_nowhere_says_so(line_scan, serve, opened):
    address = serve(line_scan).address
    seen = opened.page(f"{address}&dataset=%2Fnothing&process=no-such&image=%2Fnowhere").is_drawn()
    for told in ["leads to /nothing, which isn't in this file; /Measurement", "process no-such", "no results /nowhere"]:
        expect(seen.at("#notice")).to_contain_text(told)
    seen = opened.page(address).is_drawn()
    expect(seen.at("#notice")).to_be_hidden()


def test_numbers_keep_all_their_digits(line_scan, serve, opened):
    seen = opened.page(serve(line_scan).address).is_drawn()
    opened.may_be_refused = True
    long = "18446744073709551615"
    text = '{"a":[1,LONG,-9007199254740993,0.25],"b":"whole:LONG \\" LONG"}'.replace("LONG", long)
    told = seen.page.evaluate(EXACT, text)
    assert told == [text, "bigint", False, '"whole:1"']
    # As they are typed, in a list as well, and in the address.
    for typed in [long, f"[1, {long}]"]:
        sent = f'"by":{typed.replace(" ", "")}'
        with seen.page.expect_request(lambda asked, sent=sent: asked.url.endswith("/api/test") and sent in asked.post_data):
            seen.choose_process("rebin", by=typed)
            seen.at("#test").click()
        expect(seen.at("#process-says")).not_to_be_empty()
        assert long in seen.page.url


def test_names_that_nobody_would_give_are_only_shown(tmp_path, serve, opened, command):
    path = tmp_path / "scan.h5"
    with h5py.File(path, "w") as file:
        for number, name in enumerate(NAMES):
            data = file.create_dataset(f"{number} {name.replace('/', '|')}", data=np.arange(12.0 * 30).reshape(12, 30))
            data.attrs["quantity"] = name
            data.attrs["units"] = name
    seen = opened.page(serve(path).address)
    for option in seen.at("#dataset option").all():
        seen.at("#dataset").select_option(option.get_attribute("value"))
        seen.at("#axes").fill("0")
        seen.at("#axes").press("Enter")
        seen.is_drawn()
        seen.at("#test").click()
        expect(seen.at("#result table")).to_be_visible()
        assert seen.page.evaluate("() => document.documentElement.scrollWidth <= innerWidth"), option.inner_text()
    assert seen.page.locator("script").count() == 1
    assert seen.page.locator("img, svg, iframe").count() == 0


def test_hundreds_of_datasets_and_groups_are_listed(line_scan, serve, opened, command):
    made = command("run", "peak-finding", line_scan, "--positions", "0:64")["group"]
    with h5py.File(line_scan, "r+") as file:
        for number in range(1, 200):
            file.copy(made, file, name=f"{made[:-3]}{number:03}")
    seen = opened.page(serve(line_scan).address).is_drawn()
    expect(seen.at("#groups > article")).to_have_count(200)
    seen.at("#groups > article").last.locator("[data-action=show]").click()
    expect(seen.navigator).to_have_attribute("data-path", re.compile("Peak_Finding_199/"))
    many = line_scan.with_name("many.h5")
    with h5py.File(many, "w") as file:
        for number in range(300):
            file[f"folder/data {number:03}"] = np.full((4, 5), float(number))
    seen = opened.page(serve(many).address)
    expect(seen.at("#dataset option")).to_have_count(300)
    seen.at("#dataset").select_option("/folder/data 299")
    seen.at("#axes").fill("0")
    seen.at("#axes").press("Enter")
    seen.is_drawn()
    assert float(seen.told(seen.navigator, "value")) == 5 * 299


@pytest.mark.parametrize("width", [360, 620, 899])
def test_a_narrow_window_has_all_of_it_below_each_other(line_scan, serve, opened, command, width):
    command("run", "peak-finding", line_scan, "--positions", "0:64")
    seen = opened.page(serve(line_scan).address, (width, 700)).is_drawn()
    seen.choose_process("peak-finding")
    seen.at("#test").click()
    expect(seen.at("#result table")).to_be_visible()
    assert seen.page.evaluate("() => document.documentElement.scrollWidth - document.documentElement.clientWidth") == 0
    boxes = [seen.at(name).bounding_box() for name in ["#navigator", "#signal", "#process", "#result", "#groups"]]
    for above, below in zip(boxes, boxes[1:], strict=False):
        assert above["y"] + above["height"] <= below["y"] + 1
    for box in boxes:
        assert box["x"] >= 0 and box["x"] + box["width"] <= width
    assert min(box["height"] for box in boxes[:2]) >= 200


def test_what_a_result_says_has_a_legend(line_scan, serve, opened):
    seen = opened.page(serve(line_scan).address).is_drawn()
    assert seen.told(seen.signal, "legend") == ""
    seen.choose_process("sho-fit")
    seen.at("#test").click()
    expect(seen.signal).to_have_attribute("data-legend", re.compile("as measured, as computed with, "))
