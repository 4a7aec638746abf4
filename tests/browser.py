"""A real browser without a screen, for what only a browser can judge."""

import contextlib
import shutil
from collections.abc import Iterator, Sequence

import pytest

WAIT_MS = 300_000
"""For what must appear on a page: against hanging only."""

QUIET = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@contextlib.contextmanager
def page(
    width: int = 1280, scheme: str = "light", options: Sequence[str] = ()
) -> Iterator:
    """An empty page; the test is skipped where there is no Chromium."""
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    if chromium is None:
        pytest.skip("no Chromium here")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as driver:
        browser = driver.chromium.launch(
            executable_path=chromium, args=[*QUIET, *options]
        )
        size = {"width": width, "height": 900}
        shown = browser.new_page(viewport=size, color_scheme=scheme)
        shown.set_default_timeout(WAIT_MS)
        yield shown
        browser.close()
