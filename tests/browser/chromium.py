"""Debian's Chromium, driven by Playwright; what a page of the console says to its console, and what axe finds on it."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, Page, expect, sync_playwright

PROGRAM = Path(os.environ.get("WEIR_TEST_CHROMIUM", "/usr/bin/chromium"))
#: Without a display, a graphics card or a way out.
ARGUMENTS = (
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
)  # fmt: skip
#: Machines are busy.
PATIENCE_MS = 60_000
LANGUAGES = {"en": "en-US", "zh": "zh-CN"}


@contextmanager
def chromium() -> Iterator[Browser]:
    """One that runs until the end of the block."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=PROGRAM, headless=True, args=list(ARGUMENTS))
        try:
            yield browser
        finally:
            browser.close()


class Visitor:
    """Somebody with a browser of their own: cookies, language, colours and time zone."""

    def __init__(self, browser: Browser, address: str, language: str = "en", **context: Any) -> None:
        context = {"viewport": {"width": 1280, "height": 800}, "timezone_id": "Asia/Shanghai", **context}
        self.context = browser.new_context(locale=LANGUAGES[language], **context)
        self.context.set_default_timeout(PATIENCE_MS)
        self.page: Page = self.context.new_page()
        self.address = address
        self.complaints: list[str] = []
        self.page.on("console", self._said)
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))

    def _said(self, message: Any) -> None:
        if message.type in ("error", "warning"):
            self.complaints.append(f"{message.type}: {message.text} ({self.page.url})")

    def sign_in(self, secret: str) -> None:
        self.open("/sign-in")
        self.page.fill("input[name=password]", secret)
        self.page.press("input[name=password]", "Enter")
        self.page.wait_for_selector("main#content")

    def open(self, path: str) -> None:
        """Load a page of the console, with all its charts drawn."""
        answer = self.page.goto(f"{self.address}/console{path}", wait_until="load")
        assert answer is not None and answer.status == 200, (path, answer and answer.status)
        expect(self.page.locator("[data-chart]:not([data-drawn])")).to_have_count(0, timeout=PATIENCE_MS)

    def close(self) -> None:
        self.context.close()
