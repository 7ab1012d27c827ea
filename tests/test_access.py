"""axe-core on every tab, in both themes: no serious and no critical finding."""

import os
from pathlib import Path

import pytest
from browsing import TABS, give, open_tab, opened
from page_fakes import PHOTO

AXE = os.environ.get("AXE_CORE")  # the path of axe.min.js, from `npm pack axe-core`
FOUND = """async () => {
    const found = await axe.run(document, { resultTypes: ['violations'] });
    return found.violations.filter(one => ['serious', 'critical'].includes(one.impact))
        .map(one => `${one.id}: ${one.nodes.map(node => node.target + ' ' + node.html.slice(0, 160)).join(' | ')}`);
}"""

pytestmark = pytest.mark.skipif(not AXE or not Path(AXE).is_file(), reason="AXE_CORE names no axe.min.js")


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("screen", ["desktop", "phone"])
def test_nothing_serious_is_found(browser, address, voice, theme, screen):
    for page in opened(browser, address, screen, theme):
        page.add_script_tag(content=Path(AXE).read_text())
        found = {"empty": page.evaluate(FOUND)}
        give(page, "photo", PHOTO)
        give(page, "speech", voice)
        page.get_by_text("Everything is here.").wait_for()
        page.locator("#create").click()
        page.get_by_text("Your video is ready.").wait_for()
        for name in TABS:
            open_tab(page, name)
            page.wait_for_timeout(600)  # colours fade in
            found[name] = page.evaluate(FOUND)
        assert {name: faults for name, faults in found.items() if faults} == {}
