import functools
import http.server
import os
import shutil
import threading
from pathlib import Path

import pytest
from drawn import READY
from playwright.sync_api import sync_playwright

from wyner_serving import Bundle
from wyner_serving.web.assemble import _ORT, PageError, assemble, newest_bundle

_ROOT = Path(__file__).parents[3]
_BROWSERS = ("chromium", "chromium-browser", "google-chrome")


class Handler(http.server.SimpleHTTPRequestHandler):
    """What `python -m http.server` answers with, quietly."""

    def log_message(self, *arguments):
        pass


@pytest.fixture(scope="session")
def bundle_path():
    given = os.environ.get("WYNER_BUNDLE")
    try:
        return Path(given) if given else newest_bundle(_ROOT / "runs")
    except PageError as error:
        pytest.exit(str(error), returncode=1)


@pytest.fixture(scope="session")
def bundle(bundle_path):
    return Bundle.load(bundle_path, threads=1)


@pytest.fixture(scope="session")
def folder(bundle_path, tmp_path_factory):
    out = tmp_path_factory.mktemp("site") / "web"
    assemble(bundle_path, out, _ORT)
    return out


@pytest.fixture(scope="session")
def serve():
    """Serve a folder on loopback; the URL."""
    servers = []

    def start(folder):
        handler = functools.partial(Handler, directory=str(folder))
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        servers.append(server)
        return f"http://127.0.0.1:{server.server_port}/"

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.fixture(scope="session")
def url(serve, folder):
    return serve(folder)


@pytest.fixture(scope="session")
def browser():
    names = [os.environ["CHROMIUM"]] if "CHROMIUM" in os.environ else _BROWSERS
    found = next(filter(None, map(shutil.which, names)), None)
    if found is None:
        pytest.exit(
            f"There should be a Chromium: apt-get install chromium, or CHROMIUM=path. "
            f"Received: none of {', '.join(names)}",
            returncode=1,
        )
    # Chromium's sandbox refuses to work for root.
    arguments = ["--no-sandbox"] if os.geteuid() == 0 else []
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=found, args=arguments)
        yield opened
        opened.close()


@pytest.fixture
def open_page(browser, url):
    """Open the page; no error may come up in its console and no request may leave its origin."""
    contexts, wrong = [], []

    def start(width=1440, height=900, **options):
        context = browser.new_context(viewport={"width": width, "height": height}, **options)
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda message: wrong.append(f"{message.type}: {message.text}"))
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on(
            "request",
            lambda request: None if request.url.startswith((url, "data:", "blob:"))
            else wrong.append(request.url),
        )  # fmt: skip
        page.goto(url)
        page.wait_for_selector(READY, timeout=60_000)
        return page

    yield start
    for context in contexts:
        context.close()
    assert not wrong


@pytest.fixture
def page(open_page):
    return open_page()
