"""Pages of reports in a real browser, and what they asked for or complained about."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import BrowserContext, Page, sync_playwright

from tests.browser import find_browser

FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


@contextmanager
def open_browser(profile: Path) -> Iterator[BrowserContext]:
    with sync_playwright() as playwright:
        context = playwright.chromium.launch_persistent_context(
            profile,
            executable_path=find_browser(),
            headless=True,
            args=list(FLAGS),
            viewport={"width": 1280, "height": 900},
        )
        yield context
        context.close()


class Watched:
    """A page, and whatever it asked for or complained about."""

    def __init__(self, context: BrowserContext, out: Path, state: str = ""):
        self.complaints: list[str] = []
        self.requests: list[str] = []
        self.page: Page = context.new_page()
        self.page.on("console", lambda message: self.complaints.append(message.text))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.url = (out / "report" / "index.html").as_uri()
        self.page.goto(self.url + state)
        self.page.wait_for_selector("#points tbody tr")

    def column(self, key: str) -> list[str]:
        """Cells of one column, top to bottom."""
        heads = self.page.locator("#points th").evaluate_all(
            "nodes => nodes.map(node => node.dataset.key)"
        )
        cells = f"#points tbody td:nth-child({heads.index(key) + 1})"
        return self.page.locator(cells).all_inner_texts()

    def runs(self) -> list[str]:
        return self.page.locator("#points tbody tr").evaluate_all(
            "nodes => nodes.map(node => node.dataset.run)"
        )
