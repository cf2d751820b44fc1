"""What the part `view` of the benchmark does in Chromium: `pages.py COMMAND ADDRESS …`; it prints JSON.

latency ADDRESS DATASET   milliseconds from each of many moves of the mouse to the picture of what is under it
follow ADDRESS PROCESS    seconds of a run that is begun on the page, which follows it
"""

import json
import random
import shutil
import sys

from playwright.sync_api import expect, sync_playwright

MOVES = 400
MINUTES = 10 * 60_000
# Around an image of the scan, in pixels.
LEFT, TOP, BOTTOM = 64, 22, 40
# From a move of the mouse to the next time that the screen is painted after its frame was drawn.
TIMED = """() => {
    const [navigator, signal] = ["navigator", "signal"].map((id) => document.getElementById(id));
    let begun = null;
    navigator.addEventListener("pointermove", (event) => (begun = event.timeStamp), { capture: true });
    window.times = [];
    new MutationObserver(() => {
        if (begun === null || signal.dataset.position !== navigator.dataset.position) return;
        const since = begun;
        begun = null;
        requestAnimationFrame(() => {
            const channel = new MessageChannel();
            channel.port1.onmessage = () => window.times.push(performance.now() - since);
            channel.port2.postMessage(null);
        });
    }).observe(signal, { attributes: true, attributeFilter: ["data-drawn"] });
}"""


def latency(page, dataset):
    page.locator("#dataset").select_option(dataset)
    expect(page.locator("#navigator")).to_have_attribute("data-complete", "true")
    page.evaluate(TIMED)
    box = page.locator("#navigator").bounding_box()
    chosen = random.Random(0)
    # The image, which is square, within its axes.
    left, top, size = box["x"] + LEFT, box["y"] + TOP, box["height"] - TOP - BOTTOM
    while (before := page.evaluate("() => window.times.length")) < MOVES:
        page.mouse.move(left + size * chosen.uniform(0.02, 0.98), top + size * chosen.uniform(0.02, 0.98))
        # Where the same position is under it, nothing follows.
        for _ in range(100):
            if page.evaluate("() => window.times.length") > before:
                break
            page.wait_for_timeout(5)
    return page.evaluate("() => window.times")


def follow(page, process):
    expect(page.locator("#navigator")).to_have_attribute("data-complete", "true")
    page.locator("#process").select_option(process)
    ended = "() => new Promise((done) => new EventSource('api/events').addEventListener('run', (event) => { const told = JSON.parse(event.data); if (told?.state === 'ended') done(told); }))"
    page.locator("#run").click()
    page.locator("#start").click()
    told = page.evaluate(ended)
    return told["outcome"]["computations"][0]["report"]["seconds"]


def main():
    command, address, name = sys.argv[1:]
    with sync_playwright() as playwright:
        options = ["--no-sandbox", "--disable-gpu"]
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=options)
        page = browser.new_page(viewport={"width": 1280, "height": 720})
        page.set_default_timeout(MINUTES)
        expect.set_options(timeout=MINUTES)
        page.goto(address)
        print(json.dumps({"latency": latency, "follow": follow}[command](page, name)))
        browser.close()


main()
