"""axe-core finds nothing serious on the browser page and on report pages."""

import json
import os
from pathlib import Path

import pytest
from drawn import SEVEN, draw, see_all, shown

AXE = Path(__file__).parents[1] / "node_modules" / "axe-core" / "axe.min.js"
BAD = ("serious", "critical")
SCHEMES = ("light", "dark")
# Where the columns stand beside each other, and a phone, where tables scroll.
SIZES = ((1440, 900), (390, 844))

_FOUND = """async () => {
  const { violations } = await axe.run(document, { preload: false, resultTypes: ["violations"] });
  return violations.map(({ id, impact, help, nodes }) => ({ id, impact, help,
    nodes: nodes.slice(0, 3).map(({ html, failureSummary }) => `${html}: ${failureSummary}`) }));
}"""


def findings(page):
    """What axe-core says of the page as it is; the debugger brings its script past the policy."""
    page.evaluate(AXE.read_text(encoding="utf-8"))
    return page.evaluate(_FOUND)


def check(page, what):
    found = findings(page)
    for each in found:
        print(f"\n{what}: {each['impact']}: {each['id']} ({len(each['nodes'])})")
    bad = [each for each in found if each["impact"] in BAD]
    assert not bad, json.dumps(bad, indent=1)


@pytest.fixture
def open_report(browser):
    """Open a report page as its reader does: from the file."""
    contexts = []

    def start(path, size, scheme):
        width, height = size
        context = browser.new_context(
            viewport={"width": width, "height": height}, color_scheme=scheme
        )
        contexts.append(context)
        page = context.new_page()
        page.goto(path.resolve().as_uri())
        return page

    yield start
    for context in contexts:
        context.close()


def test_what_is_serious_is_found(open_report, tmp_path):
    path = tmp_path / "page.html"
    path.write_text('<html><body><img src="a.png"><p style="color: #bbb">words</p></body></html>')
    page = open_report(path, (400, 400), "light")
    found = {each["id"]: each["impact"] for each in findings(page)}
    assert (found["image-alt"], found["color-contrast"]) == ("critical", "serious")


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("size", SIZES)
def test_the_page(open_page, size, scheme):
    page = open_page(*size, color_scheme=scheme, reduced_motion="reduce")
    see_all(page)
    check(page, "with a sample")
    draw(page, SEVEN)
    page.locator("#concepts button").nth(7).click()
    page.locator("#one").click()
    shown(page)
    check(page, "drawn on, z locked, one hand")
    page.locator("#clear").click()
    shown(page)
    check(page, "empty")


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("size", SIZES)
def test_reports(open_report, size, scheme):
    folder = Path(os.environ["WYNER_REPORTS"])
    reports = sorted(folder.glob("*.html"))
    assert reports
    for path in reports:
        check(open_report(path, size, scheme), path.name)
