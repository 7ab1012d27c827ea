"""What the tests in a browser share: how a page is opened, given files, and waited for."""

import shutil
from collections.abc import Iterator
from pathlib import Path

CHROMIUM = shutil.which("chromium")
PLAYS = "() => { const v = document.querySelector('#result video'); return v && v.readyState >= 2 && v.videoWidth > 0 }"
PIECE_PLAYS = (
    """() => [...document.querySelectorAll('.live video')].some(v => v.readyState >= 2 && v.currentTime > 0)"""
)
PATIENCE = 60_000  # ms
TABS = ("Animate", "Masks", "Compare", "Direct", "Inspect")
SCREENS = {"desktop": (1280, 900), "phone": (390, 844)}


def opened(browser, address: str, screen: str = "desktop", theme: str = "light", agreed: bool = True) -> Iterator:
    """The page, loaded, and the consent given if `agreed`.

    At the end nothing may have failed in it, and nothing may have been fetched from elsewhere.
    """
    width, height = SCREENS[screen]
    page = browser.new_page(viewport={"width": width, "height": height}, color_scheme=theme)
    page.set_default_timeout(PATIENCE)
    errors, strangers = [], []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("request", lambda sent: _is_local(sent.url) or strangers.append(sent.url))
    page.goto(address)
    page.locator("#create").wait_for()
    if agreed:
        page.locator("#agreed input").check()
    yield page
    page.close()
    assert not errors
    assert not strangers


def _is_local(url: str) -> bool:
    return url.startswith(("http://127.0.0.1:", "data:", "blob:"))


def give(page, widget: str, path: Path, kind: str = "good") -> str:
    """Upload a file and wait for the news of that kind; returns it."""
    page.locator(f"#{widget} input[type=file]").set_input_files(path)
    line = page.locator(f"#{widget}-note .{kind}")
    line.wait_for()
    return line.inner_text()


def chosen(page, field: str) -> str:
    return page.locator(f"{field} label.selected").inner_text()


def wait_for_choice(page, field: str, word: str) -> None:
    page.locator(f"{field} label.selected", has_text=word).wait_for()


def open_tab(page, name: str) -> None:
    page.get_by_role("tab", name=name, exact=True).click()


def fill(page, field: str, value: str) -> None:
    """Type into a field and leave it."""
    box = page.locator(f"{field} input").last
    box.fill(value)
    box.press("Tab")
