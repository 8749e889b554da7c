"""From strokes to the image that the model reads."""

import numpy as np
import pytest
from drawn import arrays, draw, shown

INK = {"extent": 20 / 28, "pen": 2.6 / 28, "centre": [14.5 / 28, 14.5 / 28]}


@pytest.fixture(scope="module")
def image_of(browser, url):
    context = browser.new_context()
    page = context.new_page()
    page.goto(url)

    def call(strokes, ink=INK, size=28):
        found = page.evaluate(
            """async ([strokes, ink, size]) => {
              const image = (await import("./ink.js")).imageOf(strokes, ink, [size, size]);
              return image && Array.from(image);
            }""",
            [strokes, ink, size],
        )
        return None if found is None else np.asarray(found).reshape(size, size)

    yield call
    context.close()


def centre(image):
    places = np.arange(len(image)) + 0.5
    return (places @ image.sum(axis=1) / image.sum(), places @ image.sum(axis=0) / image.sum())


HOOK = [[[0.1, 0.1], [0.15, 0.12], [0.2, 0.3], [0.12, 0.31]]]


def test_a_drawing_is_put_where_the_digits_of_mnist_are(image_of):
    """Wherever and however small it was drawn: box of 20 pixels, centre of mass at 14.5."""
    image = image_of(HOOK)
    assert centre(image) == pytest.approx((14.5, 14.5), abs=0.1)
    rows, columns = (np.flatnonzero(image.any(axis=axis)) for axis in (1, 0))
    assert max(np.ptp(rows), np.ptp(columns)) + 1 == pytest.approx(20, abs=1)
    moved = [[[0.3 + 2.5 * x, 0.1 + 2.5 * y] for x, y in stroke] for stroke in HOOK]
    np.testing.assert_allclose(image_of(moved), image, atol=0.13)


def test_a_straight_stroke_has_the_pen_s_width(image_of):
    """A vertical line: ink in a row is the pen's width in pixels."""
    image = image_of([[[0.5, 0.2], [0.5, 0.5], [0.5, 0.8]]])
    np.testing.assert_allclose(image[10:19].sum(axis=1), 2.6, atol=0.26)
    assert image.max() == pytest.approx(1)


def test_ink_that_fills_the_frame_stays_in_it(image_of):
    """Where digits fill the frame, as scikit-learn's do, the centre of mass gives way."""
    filled = {"extent": 1.0, "pen": 0.19, "centre": [0.7, 0.5]}
    image = image_of([[[0.5, 0.1], [0.5, 0.5], [0.5, 0.9]]], filled, 8)
    np.testing.assert_allclose(image.sum(axis=1)[1:-1], 0.19 * 8, atol=0.2)
    assert image[0].sum() == pytest.approx(image[-1].sum(), abs=0.05)


def test_a_dot_stays_a_dot_and_nothing_is_nothing(image_of):
    dot = image_of([[[0.2, 0.9]]])
    assert dot.sum() == pytest.approx(np.pi * 1.3**2, rel=0.1)
    assert centre(dot) == pytest.approx((14.5, 14.5), abs=0.1)
    assert image_of([]) is None


def test_strokes_are_undone_and_cleared(page):
    page.locator("#clear").click()
    assert shown(page)["image"] is None
    assert page.locator("#said").inner_text() == "Draw a digit, or take a sample."
    assert page.locator("#undo").is_disabled()
    draw(page, [[(0.3, 0.2), (0.3, 0.8)]])
    one = shown(page)["image"]
    draw(page, [[(0.3, 0.5), (0.8, 0.5)]])
    two = shown(page)
    assert len(two["strokes"]) == 2
    assert np.abs(two["image"] - one).max() > 0.5
    page.locator("#undo").click()
    np.testing.assert_array_equal(shown(page)["image"], one)
    page.locator("#undo").click()
    assert shown(page)["image"] is None


def test_a_finger_draws_and_does_not_scroll(open_page):
    page = open_page(360, 740, has_touch=True, is_mobile=True)
    page.locator("#clear").click()
    box = page.locator("#paper").bounding_box()
    session = page.context.new_cdp_session(page)
    places = [(0.3, 0.2), (0.6, 0.3), (0.4, 0.8)]
    points = [
        [{"x": box["x"] + x * box["width"], "y": box["y"] + y * box["height"]}] for x, y in places
    ]
    session.send("Input.dispatchTouchEvent", {"type": "touchStart", "touchPoints": points[0]})
    for point in points[1:]:
        session.send("Input.dispatchTouchEvent", {"type": "touchMove", "touchPoints": point})
    session.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
    seen = shown(page)
    (stroke,) = seen["strokes"]
    np.testing.assert_allclose(arrays(stroke[0]), places[0], atol=0.02)
    np.testing.assert_allclose(arrays(stroke[-1]), places[-1], atol=0.02)
    assert seen["image"].max() > 0.9
    assert page.evaluate("scrollY") == 0
