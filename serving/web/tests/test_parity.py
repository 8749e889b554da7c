"""What the page computes is what the Python runtime computes."""

import base64
import json
import shutil

import numpy as np
import onnxruntime
import pytest
from drawn import FOUR, SEVEN, draw, see_all, shown

from wyner_serving.noise import NoiseStreams
from wyner_serving.web.first import PageNoise

TOLERANCE = 1e-4


@pytest.fixture(scope="module")
def run(bundle, bundle_path):
    """A graph of the bundle in Python's onnxruntime, on flat arrays."""

    def call(graph, **inputs):
        entry = bundle.manifest["graphs"][graph]
        feeds = {
            info["name"]: np.asarray(inputs[info["name"]], np.float32).reshape(
                -1, *info["shape"][1:]
            )
            for info in entry["inputs"]
        }
        session = onnxruntime.InferenceSession(bundle_path / entry["file"])
        return [value.ravel() for value in session.run(None, feeds)]

    return call


def close(found, expected, what):
    difference = float(np.abs(found - expected.ravel()).max())
    print(f"\n{what}: largest difference {difference:.1e}")
    assert found.shape == expected.ravel().shape
    assert difference <= TOLERANCE


@pytest.mark.parametrize(("side", "other", "local"), [("x", "y", "v"), ("y", "x", "u")])
def test_samples_for_a_drawing(page, run, side, other, local):
    if side == "y":
        page.locator(".switch label").last.click()
    page.locator("#clear").click()
    draw(page, SEVEN)
    seen = shown(page)
    assert seen["side"] == side
    image = seen["image"]
    assert image.min() >= 0 and 0.9 < image.max() <= 1
    noise = {"noise_z": seen["noiseZ"], f"noise_{local}": seen["local"]}
    count = len(seen["z"]) // len(seen["probabilities"])
    (expected,) = run(f"generate_{other}", **{side: np.tile(image, count)}, **noise)
    close(seen["images"], expected, f"generate_{other}")
    (z,) = run(f"encode_{side}_z", **{side: np.tile(image, count)}, noise_z=seen["noiseZ"])
    np.testing.assert_array_equal(seen["z"], z)
    (probabilities,) = run(f"posterior_{side}_z", **{side: image})
    close(seen["probabilities"], probabilities, f"posterior_{side}_z")


def test_what_is_shown_first_is_what_the_engine_computes(page, folder):
    """For the state that the page starts with; images within a grey level of their 8 bits."""
    seen = shown(page)
    first = json.loads((folder / "page.json").read_text())["first"]
    images = np.concatenate([list(base64.b64decode(text)) for text in first["images"]])
    assert images.std() > 10
    difference = np.abs(255 * seen["images"] - images).max()
    print(f"\nfirst images: largest difference {difference:.2f} of 255")
    assert difference <= 1
    close(seen["probabilities"], np.asarray(first["probabilities"]), "first probabilities")


def test_what_is_shown_first_needs_no_engine(browser, serve, folder, tmp_path, page):
    """Without the engine's WebAssembly the page shows the same pictures, and says what failed."""
    shutil.copytree(folder, tmp_path / "web")
    (tmp_path / "web" / "ort" / "ort-wasm-simd-threaded.wasm").unlink()
    context = browser.new_context(viewport={"width": 1440, "height": 900})
    bare = context.new_page()
    bare.goto(serve(tmp_path / "web"))
    bare.wait_for_function("() => performance.getEntriesByName('first-image').length")
    bare.wait_for_function(
        "() => document.querySelector('#said').textContent.includes('did not load')"
    )
    assert bare.evaluate("performance.getEntriesByName('engine-ready').length") == 0
    shown(page)
    painted = """() => [...document.querySelectorAll("#grid canvas")].flatMap((canvas) =>
      [...canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data]
        .filter((_, i) => i % 4 === 3))"""
    found, expected = (np.asarray(tab.evaluate(painted)) for tab in (bare, page))
    assert found.shape == expected.shape and found.max() == 255
    # The soft step that makes ink of grey has slopes above one.
    assert np.abs(found - expected).max() <= 8
    context.close()


def test_the_noise_of_the_page_is_the_noise_of_its_assembling(page):
    """Bit for bit; normals within what two logarithms and cosines may differ by."""
    found = page.evaluate(
        """async () => {
          const { Noise } = await import("./noise.js");
          return [1, 7, 2 ** 32 - 1].map((seed) => {
            const noise = new Noise(seed);
            const bits = Array.from({ length: 100 }, () => noise.bits());
            return [bits, Array.from(noise.uniform(100)), Array.from(noise.normal(100))];
          });
        }"""
    )
    for seed, (bits, uniform, normal) in zip((1, 7, 2**32 - 1), found, strict=True):
        noise = PageNoise(seed)
        assert [noise.bits() for _ in range(100)] == bits
        np.testing.assert_array_equal(noise.uniform(100), np.asarray(uniform, np.float32))
        np.testing.assert_allclose(noise.normal(100), normal, rtol=1e-6, atol=1e-7)


def test_transfer_from_a_drawing_and_pairs(page, run):
    page.locator("#clear").click()
    draw(page, FOUR)
    see_all(page)
    page.locator("#transfer-again").click()
    page.locator("#pairs-again").click()
    seen = shown(page)
    transfer, pairs = seen["transfer"], seen["pairs"]
    pixels = len(seen["image"])
    np.testing.assert_array_equal(transfer["styles"][:pixels], seen["image"])
    np.testing.assert_array_equal(transfer["concepts"][:pixels], seen["image"])
    (expected,) = run(
        "transfer_y",
        style=transfer["styles"],
        concept=transfer["concepts"],
        noise_concept_z=transfer["noise"]["concept"],
        noise_style_z=transfer["noise"]["style"],
        noise_v=transfer["noise"]["local"],
    )
    close(transfer["images"], expected, "transfer_y")
    noise = {f"noise_{name}": pairs["noise"][name] for name in "zuv"}
    for side, expected in zip("xy", run("generate_pairs", **noise), strict=True):
        close(pairs[side], expected, f"generate_pairs, {side}")


def test_the_noise_of_numpy_gives_the_images_of_the_bundle(page, bundle):
    """The page's own functions, fed with the noise of a seed, give `Bundle`'s images."""
    draw(page, SEVEN)
    image, count, seed = shown(page)["image"], 5, 11
    given = image.reshape(1, *bundle.example_shape("x"))
    streams = NoiseStreams(seed, bundle.manifest["latents"])
    noise = [streams.draw(latent, count).ravel().tolist() for latent in "zv"]
    found = page.evaluate(
        """async ([image, noiseZ, v]) => {
          const { model } = await import("./app.js");
          const { sampleZ } = await import("./model.js");
          const probabilities = await model.posterior("x", Float32Array.from(image));
          const z = sampleZ(probabilities, Float32Array.from(noiseZ), model.k);
          return Array.from(await model.decode("y", z, Float32Array.from(v)));
        }""",
        [image.tolist(), *noise],
    )
    expected = bundle.generate_y(given, seed=seed, samples=count)
    close(np.asarray(found), expected, "Bundle.generate_y")


def test_nats_are_the_divergence_from_knowing_nothing(page):
    draw(page, FOUR)
    q = shown(page)["probabilities"].astype(np.float64)
    expected = float((q * np.log(np.maximum(q, 1e-300) * len(q))).sum())
    said = page.locator("#nats")
    assert float(said.get_attribute("aria-valuenow")) == pytest.approx(expected, abs=0.006)
    assert float(said.get_attribute("aria-valuemax")) == pytest.approx(np.log(len(q)), abs=0.006)
    assert f"{expected:.2f} of at most" in page.locator("#nats-said").inner_text()


def test_turned_hands_are_what_the_map_shows(page, run, folder):
    """At an edge of the map every sample has the map's two coordinates, and keeps its others."""
    before = shown(page)
    page.locator("#across").fill("2")
    page.locator("#down").fill("-1")
    after = shown(page)
    axes = np.asarray(json.loads((folder / "page.json").read_text())["directions"]["v"])
    free, turned = (seen["local"].reshape(-1, axes.shape[1]) for seen in (before, after))
    np.testing.assert_allclose(turned @ axes.T, np.tile([2, -1], (len(turned), 1)), atol=1e-5)
    rest = np.eye(axes.shape[1]) - axes.T @ axes
    np.testing.assert_allclose(turned @ rest, free @ rest, atol=1e-5)
    np.testing.assert_array_equal(after["z"], before["z"])
    (expected,) = run("decode_y", z=after["z"], v=after["local"])
    close(after["images"], expected, "decode_y, turned")
    # Halfway, a sample has gone half the way.
    page.locator("#across").fill("1")
    page.locator("#down").fill("0")
    half = shown(page)["local"].reshape(free.shape)
    np.testing.assert_allclose(half @ axes.T, free @ axes.T / 2 + [1, 0], atol=1e-5)


def test_noise_follows_its_laws_and_its_seed(page):
    uniform, normal, again = (
        np.asarray(values)
        for values in page.evaluate(
            """async () => {
              const { Noise } = await import("./noise.js");
              const [one, two, three] = [5, 6, 5].map((seed) => new Noise(seed));
              return [one.uniform(20000), two.normal(20000), three.uniform(20000)]
                .map((values) => Array.from(values));
            }"""
        )
    )
    np.testing.assert_array_equal(uniform, again)
    assert uniform.min() >= 0 and uniform.max() < 1
    # Four standard errors.
    assert uniform.mean() == pytest.approx(0.5, abs=4 * 12**-0.5 / 20000**0.5)
    assert normal.mean() == pytest.approx(0, abs=4 / 20000**0.5)
    assert normal.var() == pytest.approx(1, abs=4 * 2**0.5 / 20000**0.5)
    for values in (uniform, normal):
        assert abs(np.corrcoef(values[:-1], values[1:])[0, 1]) < 4 / 20000**0.5
