"""Drawing on the page and reading what it shows."""

import numpy as np

READY = "html[data-ready=yes]"

# Points [across, down] in shares of the paper.
SEVEN = [[(0.28, 0.22), (0.5, 0.2), (0.72, 0.22), (0.6, 0.45), (0.5, 0.65), (0.44, 0.85)]]
FOUR = [
    [(0.35, 0.15), (0.3, 0.35), (0.26, 0.55), (0.5, 0.56), (0.75, 0.55)],
    [(0.62, 0.2), (0.61, 0.5), (0.6, 0.88)],
]

_SHOWN = """async () => {
  const plain = (value) => ArrayBuffer.isView(value) ? Array.from(value)
    : Array.isArray(value) || value === null || typeof value !== "object" ? value
    : Object.fromEntries(Object.entries(value).map(([key, part]) => [key, plain(part)]));
  return plain(await (await import("./app.js")).shownNow());
}"""


def draw(page, strokes):
    """Draw by mouse."""
    page.locator("#paper").scroll_into_view_if_needed()
    box = page.locator("#paper").bounding_box()
    for stroke in strokes:
        places = [(box["x"] + x * box["width"], box["y"] + y * box["height"]) for x, y in stroke]
        page.mouse.move(*places[0])
        page.mouse.down()
        for place in places[1:]:
            page.mouse.move(*place, steps=6)
        page.mouse.up()


def arrays(value):
    """Lists of numbers as float32 arrays, at any depth."""
    if isinstance(value, dict):
        return {key: arrays(part) for key, part in value.items()}
    if isinstance(value, list) and value and isinstance(value[0], int | float):
        return np.asarray(value, np.float32)
    return value


def shown(page):
    """What the page shows, once nothing is under way."""
    return arrays(page.evaluate(_SHOWN))


def see_all(page):
    """Scroll through the page, so that all of it loads."""
    for part in ("transfer", "pairs"):
        page.locator(f"#{part}").scroll_into_view_if_needed()
        page.wait_for_function(
            f"async () => (await (await import('./app.js')).shownNow()).{part} !== null"
        )
