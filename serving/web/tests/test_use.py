"""Using the page: by keyboard, on small and large screens, and what it costs."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from drawn import FOUR, READY, SEVEN, draw, see_all, shown

SHOTS = Path(__file__).parents[3] / "build" / "web-shots"


def focused(page):
    return page.evaluate(
        "document.activeElement.id || document.activeElement.name"
        " || document.activeElement.parentElement.id"
    )


def tab_to(page, wanted):
    for _ in range(60):
        page.keyboard.press("Tab")
        if focused(page) == wanted:
            return
    pytest.fail(f"Tab never came to {wanted}")


def test_all_of_it_works_by_keyboard(page):
    before = shown(page)
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    tab_to(page, "samples")
    page.keyboard.press("Space")
    sample = shown(page)
    assert np.abs(sample["image"] - before["image"]).max() > 0.5
    tab_to(page, "side")
    page.keyboard.press("ArrowRight")
    assert shown(page)["side"] == "y"
    page.keyboard.press("ArrowLeft")
    tab_to(page, "again")
    page.keyboard.press("Enter")
    again = shown(page)
    assert np.abs(again["local"] - sample["local"]).max() > 0.1
    tab_to(page, "concepts")
    page.keyboard.press("Enter")
    chosen = shown(page)
    assert (chosen["z"].reshape(12, -1) == chosen["z"].reshape(12, -1)[0]).all()
    np.testing.assert_array_equal(chosen["local"], again["local"])
    tab_to(page, "across")
    for _ in range(5):
        page.keyboard.press("ArrowRight")
    turned = shown(page)
    assert np.abs(turned["local"] - chosen["local"]).max() > 0.1
    for name in ("hands", "one", "centre", "transfer-again", "pairs-again"):
        tab_to(page, name)
        outline = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
        assert outline == "solid"


def test_locks_and_words_say_which_latent_did_what(page):
    def said():
        shown(page)
        return page.locator("#said").inner_text()

    first = shown(page)
    assert said().startswith("Your drawing sets z")
    page.locator("#concepts button").nth(7).click()
    assert said().startswith("You set z, and the digit changed. The hands, v, stayed")
    locked = shown(page)
    draw(page, FOUR)
    np.testing.assert_array_equal(shown(page)["z"], locked["z"])
    assert "z is locked" in said()
    page.locator("#lock-z").click()
    assert said().startswith("z follows your drawing again")
    page.locator("#lock-local").click()
    page.locator("#again").click()
    again = shown(page)
    np.testing.assert_array_equal(again["local"], first["local"])
    assert np.abs(again["noiseZ"] - first["noiseZ"]).max() > 0.1
    assert said().endswith("The hands, v, stayed as they were.")
    page.locator("#lock-local").click()
    page.locator("#hands").click()
    other = shown(page)
    np.testing.assert_array_equal(other["noiseZ"], again["noiseZ"])
    assert np.abs(other["local"] - again["local"]).max() > 0.1
    assert said().startswith("Other hands: v changed")
    page.locator("#one").click()
    rows = shown(page)["local"].reshape(12, -1)
    assert (rows == rows[0]).all()
    box = page.locator("#map").bounding_box()
    page.mouse.click(box["x"] + 0.9 * box["width"], box["y"] + 0.1 * box["height"])
    assert said().startswith("You turned v, and the hand changed")
    assert [page.locator(f"#{name}").input_value() for name in ("across", "down")] == ["2", "-2"]
    page.locator("#centre").click()
    np.testing.assert_array_equal(shown(page)["local"], rows.ravel())


def test_what_z_holds_is_told_where_the_bundle_knows_it(page):
    show = "async (nats) => (await import('./concepts.js')).showHeld(10, nats)"
    held, words = page.locator("#nats-held"), page.locator("#nats-words")
    page.evaluate(show, None)
    assert held.is_hidden() and "z holds" not in words.inner_text()
    page.evaluate(show, {"i_xy_z": 2.3, "i_x_z": 1.5, "method": "samples"})
    assert words.inner_text().endswith(
        "Over many digits, z holds 2.30 nats of a pair, enough to tell 10 things apart; "
        "1.50 nats of the first digit alone, enough to tell 4.5 things apart."
    )
    assert held.get_attribute("aria-valuenow") == "2.30"
    share = held.evaluate("(meter) => parseFloat(meter.firstElementChild.style.width)")
    assert share == pytest.approx(100 * 2.3 / np.log(10), abs=0.01)


def test_a_pairing_that_is_not_the_next_digit_has_other_words(page):
    names = "async (map) => (await import('./words.js')).names(map).page"
    following = {str(label): (label + 1) % 4 for label in range(4)}
    assert page.evaluate(names, following) == "Draw a digit, see the next one"
    for other in ({"0": 3, "3": 0}, None, {}):
        assert page.evaluate(names, other) == "Draw a digit, see its partner"


def test_controls_have_names_and_states(page):
    unnamed = page.evaluate(
        """() => [...document.querySelectorAll("button, input, [role=meter], [role=img]")]
          .filter((part) => !(part.ariaLabel || part.textContent.trim() || part.labels?.length
            || part.getAttribute("aria-labelledby")))
          .map((part) => part.outerHTML)"""
    )
    assert unnamed == []
    assert page.locator("#said").get_attribute("role") == "status"
    pressed = page.locator("#samples [aria-pressed=true]")
    assert pressed.count() == 1 and pressed.get_attribute("aria-label") == "sample 4"
    shown(page)
    labels = [part.get_attribute("aria-label") for part in page.locator("#concepts button").all()]
    shares = [int(label.split(", ")[1].removesuffix(" %")) for label in labels]
    assert sum(shares) == pytest.approx(100, abs=5)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize(("width", "height"), [(360, 740), (820, 1180), (1440, 900)])
def test_it_fits_the_screen(open_page, width, height, scheme):
    page = open_page(width, height, color_scheme=scheme, reduced_motion="reduce")
    draw(page, SEVEN)
    see_all(page)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    cut = page.evaluate(
        """() => [...document.querySelectorAll("button, h1, h2, p, dd, legend + label")]
          .filter((part) => part.scrollWidth > part.clientWidth + 1 && part.clientWidth > 1)
          .map((part) => part.textContent)"""
    )
    assert cut == []
    assert page.evaluate("getComputedStyle(document.querySelector('.bar i')).transitionDuration")
    page.evaluate("scrollTo(0, 0)")
    SHOTS.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=SHOTS / f"{width}-{scheme}.png")
    page.screenshot(path=SHOTS / f"{width}-{scheme}-whole.png", full_page=True)


def test_ink_is_painted_again_in_another_colour_scheme(page):
    brightness = """() => {
      const canvas = document.querySelector("#samples canvas");
      const copy = new OffscreenCanvas(canvas.width, canvas.height).getContext("2d");
      copy.drawImage(canvas, 0, 0);
      const { data } = copy.getImageData(0, 0, canvas.width, canvas.height);
      const full = data.findIndex((value, i) => i % 4 === 3 && value === 255);
      return data[full - 3] + data[full - 2] + data[full - 1];
    }"""
    shown(page)
    light = page.evaluate(brightness)
    page.emulate_media(color_scheme="dark")
    page.wait_for_function(f"(light) => ({brightness})() > light + 100", arg=light)


def test_a_graph_that_is_missing_is_told(browser, serve, folder, tmp_path):
    shutil.copytree(folder, tmp_path / "web")
    (tmp_path / "web" / "bundle" / "onnx" / "decode_y.onnx").unlink()
    context = browser.new_context()
    page = context.new_page()
    page.goto(serve(tmp_path / "web"))
    page.wait_for_function(
        "() => document.querySelector('#said').textContent.includes('did not load')"
    )
    assert "decode_y.onnx: 404" in page.locator("#said").inner_text()
    context.close()


def test_files_have_the_types_that_browsers_insist_on(browser, url):
    context = browser.new_context()
    for name, kind in {
        "ort/ort.wasm.min.mjs": "javascript",
        "ort/ort-wasm-simd-threaded.wasm": "application/wasm",
        "app.js": "javascript",
    }.items():
        assert kind in context.request.get(url + name).headers["content-type"]
    context.close()


def test_what_loading_costs(browser, url):
    """Figures for people; a speed is no condition of this test but their order is."""
    for attempt in range(3):
        context = browser.new_context(viewport={"width": 1440, "height": 900})
        page = context.new_page()
        page.goto(url)
        page.wait_for_selector(READY, timeout=60_000)
        loaded, first, ready = page.evaluate(
            """() => [performance.getEntriesByType("navigation")[0].loadEventEnd,
                      ...["first-image", "engine-ready"].map(
                        (name) => performance.getEntriesByName(name)[0].startTime)]"""
        )
        print(
            f"\nload {attempt}: page {loaded:.0f} ms, first image {first:.0f} ms, "
            f"engine ready (first image computed in the tab) {ready:.0f} ms after the click"
        )
        assert loaded > 0 and 0 < first < ready
        context.close()
