"""How quick the page is, printed: the first piece that can be played after a click on the button, Cancel, six clients.

    python tests/bench_page.py

It opens the page with the real pipeline and drives it with Debian's chromium, and with gradio_client. The example is
chosen, and its files are looked at, before the click; one video has been made before the first that counts.
"""

import logging
import multiprocessing
import os
import statistics
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")  # as app.py does
os.environ["GRADIO_TEMP_DIR"] = tempfile.mkdtemp(prefix="actalker-bench-")
sys.path[:0] = [str(Path(__file__).parents[1]), str(Path(__file__).parent)]

from browsing import CHROMIUM, PIECE_PLAYS, PLAYS, opened  # noqa: E402
from page_fakes import ROOT, served  # noqa: E402

from demo.runner import Runner  # noqa: E402

ROUNDS, CLIENTS, CLIENT_ROUNDS = 5, 6, 8
SETTLED = 6.0  # seconds in which the example's files are measured
log = logging.getLogger("bench")


def main() -> None:
    """Print a line for each measure."""
    logging.basicConfig(format="%(message)s", stream=sys.stdout)
    log.setLevel(logging.INFO)
    log.info("%d cores, load %.1f before the start", os.cpu_count(), os.getloadavg()[0])
    with tempfile.TemporaryDirectory() as folder, served(Runner(Path(folder))) as address:
        _in_the_browser(address)
        _through_the_client(address)


def _in_the_browser(address: str) -> None:
    from playwright.sync_api import sync_playwright

    flags = ["--no-sandbox", "--disable-dev-shm-usage", "--autoplay-policy=no-user-gesture-required"]
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=flags)
        for page in opened(browser, address):
            page.set_default_timeout(300_000)
            firsts = [_first(page, example) for example in [0] * (1 + ROUNDS)][1:]
            _tell("first piece plays after the click, example with voice and clip", firsts)
            _tell("Cancel until the page says so", [_cancel(page) for _ in range(ROUNDS)])
        browser.close()


def _first(page: object, example: int) -> float:
    page.locator("#examples button").nth(example).click()
    page.locator("ul.check").wait_for()
    page.wait_for_timeout(SETTLED * 1000)
    started = time.perf_counter()
    page.locator("#create").click()
    page.wait_for_function(PIECE_PLAYS, polling=20)
    spent = time.perf_counter() - started
    page.locator("#facts table").wait_for()
    page.wait_for_function(PLAYS)
    return spent


def _cancel(page: object) -> float:
    page.locator("#create").click()
    page.wait_for_function(PIECE_PLAYS)
    page.wait_for_timeout(800)
    started = time.perf_counter()
    page.locator("#cancel").click()
    page.locator("#status .note", has_text="Stopped").wait_for()
    return time.perf_counter() - started


def _through_the_client(address: str) -> None:
    """Six at a time, in processes of their own: what they hold is not the server's."""
    with ProcessPoolExecutor(CLIENTS, multiprocessing.get_context("spawn")) as pool:
        for number in range(1, CLIENT_ROUNDS + 1):
            started, before = time.perf_counter(), _resident()
            list(pool.map(_animate, [address] * CLIENTS, range(CLIENTS)))
            spent = time.perf_counter() - started
            log.info("six clients, round %d: %.1f s, memory %.0f -> %.0f MB", number, spent, before, _resident())


def _animate(address: str, seed: int) -> None:
    from gradio_client import Client, handle_file

    files = {"photo": "faces/astronaut.jpg", "speech": "speech/welcome.wav"}
    given = {name: handle_file(str(ROOT / "assets" / file)) for name, file in files.items()}
    Client(address, verbose=False).predict(**given, seed=seed, size=256, api_name="/animate")


def _resident() -> float:
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096 / 2**20


def _tell(what: str, seconds: list[float]) -> None:
    log.info("%s: median %.2f s (%.2f to %.2f), %d rounds, load %.1f", what, statistics.median(seconds), min(seconds),
             max(seconds), len(seconds), os.getloadavg()[0])  # fmt: skip


if __name__ == "__main__":
    main()
