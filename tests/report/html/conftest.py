"""A headless Chromium for all tests of pages, and pages that watch what a page does: its errors, and what it asks for."""

from __future__ import annotations

import os
import shutil

import pytest

from mapcount.report.html.render import render

OPTIONS = ("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking")


@pytest.fixture(scope="session")
def chromium():
    """Start Chromium once: Playwright's own, or the one of the system. Without either the tests skip."""
    playwright = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed")
    with playwright.sync_playwright() as started:
        path = started.chromium.executable_path
        path = path if os.path.exists(path) else shutil.which("chromium") or shutil.which("google-chrome")
        if path is None:
            pytest.skip("no Chromium: playwright install chromium, or apt-get install chromium")
        browser = started.chromium.launch(executable_path=path, args=list(OPTIONS))
        yield browser
        browser.close()


class Watched:
    """A browser's page that notes errors and requests; `open` shows a page of ours."""

    def __init__(self, page, folder):
        self.page, self.path = page, folder / "page.html"
        self.complaints, self.requests = [], []
        page.set_default_timeout(20_000)
        page.on("console", lambda message: self.complain(f"{message.type}: {message.text}"))
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("request", lambda request: self.requests.append(request.url))

    def complain(self, words):
        """Note it, unless it is about the pixels that tests read."""
        if "willReadFrequently" not in words:
            self.complaints.append(words)

    def open(self, shown):
        """Show a Page, or the text of one; return Playwright's page once all of it is there."""
        self.path.write_text(shown if isinstance(shown, str) else render(shown))
        self.page.goto(self.path.as_uri())
        self.page.locator("html[data-ready]").wait_for()
        return self.page


@pytest.fixture
def watched(chromium, tmp_path, request):
    """Give a fresh page of the browser; fail if it complained, or asked for anything but itself and its own blobs."""
    options = getattr(request, "param", {})
    context = chromium.new_context(**{"viewport": {"width": 1280, "height": 900}, "accept_downloads": True, **options})
    watched = Watched(context.new_page(), tmp_path)
    yield watched
    context.close()
    assert watched.complaints == []
    assert [url for url in watched.requests if not url.startswith(("blob:", watched.path.as_uri()))] == []
