"""axe-core, which reads a page as assistive technology does, run inside the browser that shows it.

Invariant: the file is the one whose digest stands here; it is put in by the debugger, so the page's own content
security policy stays as it is.
"""

from __future__ import annotations

import hashlib
from functools import cache
from pathlib import Path
from typing import Any

from playwright.async_api import Page

AXE = Path(__file__).parent / "vendor" / "axe-4.14.1.min.js"
AXE_SHA256 = "29348999450cdf2849a8e70b7912fc2da85a849da39c0d0d5394f51d4a9ed95c"
COLOURS = ("color-contrast", "link-in-text-block")
"""The rules whose answer changes from light to dark."""
UNFOLD = "document.querySelectorAll('main details:not(.menu)').forEach(each => { each.open = true })"
RUN = """async (rules) => {
    const chosen = rules.length ? { runOnly: { type: 'rule', values: rules } } : {}
    const found = await axe.run(document, { ...chosen, preload: false, resultTypes: ['violations'] })
    return found.violations.filter(each => ['serious', 'critical'].includes(each.impact))
        .map(each => `${each.id}: ${each.nodes.slice(0, 3).map(node => node.html + ' ' + node.failureSummary)}`)
}"""


@cache
def _source() -> str:
    text = AXE.read_bytes()
    assert hashlib.sha256(text).hexdigest() == AXE_SHA256, f"{AXE.name} is not what was published"
    return text.decode()


async def complaints(page: Page, *, rules: tuple[str, ...] = ()) -> list[str]:
    """What is serious or critical on the page as it stands, with everything unfolded; `rules` limits what is asked."""
    await page.evaluate(UNFOLD)
    if not await page.evaluate("'axe' in window"):
        await page.evaluate(_source())
    found: Any = await page.evaluate(RUN, list(rules))
    return [str(each) for each in found]


async def complaints_in_light_and_dark(page: Page) -> list[str]:
    """Everything in the light, and once more what depends on colours in the dark."""
    await page.emulate_media(color_scheme="light", reduced_motion="reduce")
    found = await complaints(page)
    await page.emulate_media(color_scheme="dark", reduced_motion="reduce")
    return found + [f"dark {each}" for each in await complaints(page, rules=COLOURS)]
