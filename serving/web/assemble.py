"""The browser page of a bundle, assembled into a folder that any static server can serve.

    python -m wyner_serving.web.assemble --bundle runs/first-bundle --out build/web

The folder holds the page, onnxruntime-web (from node_modules), the graphs that the page needs, the
manifest, and `page.json`: samples, what is shown first, and what is better worked out once than in
every browser.
"""

from __future__ import annotations

import argparse
import base64
import json
import shutil
import sys
from pathlib import Path
from typing import Any

import numpy as np

from wyner_serving import Bundle, BundleError
from wyner_serving.onnx_wire import WEIGHTS
from wyner_serving.web import first
from wyner_serving.whole import whole_folder

_HERE = Path(__file__).parent
_ORT = _HERE / "node_modules" / "onnxruntime-web" / "dist"
_ORT_FILES = ("ort.wasm.min.mjs", "ort-wasm-simd-threaded.mjs", "ort-wasm-simd-threaded.wasm")
GRAPHS = ("posterior_x_z", "posterior_y_z", "encode_x_u", "encode_y_v", "decode_x", "decode_y")
# A pixel with less ink than this is paper, when a digit's box is measured.
_PAPER = 0.2


class PageError(ValueError):
    """There is no bundle, or the page cannot show it."""


def newest_bundle(runs: Path) -> Path:
    """The bundle `*-bundle` of a folder whose manifest was written last.

    Raises:
        PageError: if there is none.
    """
    found = sorted(runs.glob("*-bundle/manifest.json"), key=lambda path: path.stat().st_mtime)
    if not found:
        raise PageError(
            f"There should be a bundle {runs}/*-bundle. Received: none. `make demo` makes one in "
            "a few minutes, `wyner export RUN --out BUNDLE` makes one of a run; "
            "`make web BUNDLE=path` takes one from elsewhere"
        )
    return found[-1].parent


def check_shown(manifest: dict[str, Any]) -> None:
    """Refuse a model that the page has no controls for.

    Raises:
        PageError: naming what the page expects.
    """
    sides, z = manifest["sides"], manifest["latents"]["z"]
    for side, entry in sides.items():
        if entry["kind"] != "image":
            raise PageError(
                f"The page is for images: both x and y are drawn. Received: {side} of kind "
                f"{entry['kind']}; `wyner generate`, TensorFlow Serving and KServe take such data"
            )
    if z["family"] != "categorical" or z["n"] != 1:
        raise PageError(f"The page shows a z of one categorical variable. Received: z={z}")
    for side in sides.values():
        latent = manifest["latents"][side["local"]]
        if latent is None or latent["family"] != "gaussian" or latent["size"] < 2:
            raise PageError(
                f"The page turns Gaussian u and v of 2 dimensions or more. "
                f"Received: {side['local']}={latent}"
            )
    shapes = {side: entry["shape"] for side, entry in sides.items()}
    for side, shape in shapes.items():
        if shape[2] != 1 or shape[0] != shape[1]:
            raise PageError(
                f"The page draws with one ink on square paper. Received: {side} of shape {shape}"
            )
    if shapes["x"] != shapes["y"]:
        raise PageError(
            "The page takes a drawing for an x or a y, so both should have one shape. "
            f"Received: {shapes}"
        )
    missing = [name for name in (*GRAPHS, *first.GRAPHS) if name not in manifest["graphs"]]
    if missing:
        raise PageError(
            f"The page needs the graphs {', '.join(missing)}. Received: a bundle without them; "
            "export its run again"
        )


def ink_of(samples: np.ndarray) -> dict[str, Any]:
    """How digits lie in their frame, so that a drawing can be made to lie likewise.

    Args:
        samples: `(n, h, w, 1)` in [0, 1].

    Returns:
        In shares of the frame: `extent`, the longer side of a digit's box; `pen`, the width of a
        stroke, from area and outline (an outline is about twice a stroke's length, and total
        variation measures it whatever the blur); `centre`, the centre of mass, down and across.
    """
    images = samples[..., 0].astype(np.float64)
    height, width = images.shape[1:]
    inked = images > _PAPER
    rows, columns = inked.any(axis=2).sum(axis=1) / height, inked.any(axis=1).sum(axis=1) / width
    padded = np.pad(images, ((0, 0), (1, 1), (1, 1)))
    down, across = np.diff(padded, axis=1)[:, :, :-1], np.diff(padded, axis=2)[:, :-1]
    area, outline = images.sum(), np.hypot(down, across).sum()
    places = [(np.arange(size) + 0.5) / size for size in (height, width)]
    centre = [
        float((images.sum(axis=axis) @ place).sum() / area)
        for axis, place in zip((2, 1), places, strict=True)
    ]
    return {
        "extent": float(np.median(np.maximum(rows, columns))),
        "pen": float(2 * area / outline / max(height, width)),
        "centre": centre,
    }


def directions(bundle: Bundle, side: str) -> np.ndarray:
    """The two orthonormal directions of u or v that change a side's images most, `(2, size)`.

    Principal axes of the decoder's central differences at 0, over all values of z.
    """
    latents, local = bundle.manifest["latents"], bundle.manifest["sides"][side]["local"]
    size, concepts = latents[local]["size"], latents["z"]["size"]
    steps = np.concatenate([np.eye(size), -np.eye(size)]).astype(np.float32)
    gram = np.zeros((size, size))
    decode = bundle.decode_x if side == "x" else bundle.decode_y
    for z in np.eye(concepts, dtype=np.float32):
        images = decode(np.tile(z, (2 * size, 1)), steps).reshape(2, size, -1)
        changes = (images[0].astype(np.float64) - images[1]) / 2
        gram += changes @ changes.T
    _, vectors = np.linalg.eigh(gram)
    found = vectors[:, [-1, -2]].T
    largest = np.take_along_axis(found, np.abs(found).argmax(axis=1, keepdims=True), axis=1)
    return found * np.sign(largest)


def concept_order(probabilities: np.ndarray) -> list[int]:
    """Values of z in the order of the samples that show them most clearly, the rest behind.

    Args:
        probabilities: q(z|x) of the samples, `(n, k)`.
    """
    samples, values = map(int, probabilities.shape)
    place = dict.fromkeys(range(values), samples)
    taken: set[int] = set()
    for flat in (-probabilities).argsort(axis=None, kind="stable"):
        sample, value = map(int, np.unravel_index(flat, probabilities.shape))
        if place[value] == samples and sample not in taken:
            place[value] = sample
            taken.add(sample)
    return sorted(place, key=place.__getitem__)


def _base64(images: np.ndarray) -> list[str]:
    """Grey levels of images `(n, h, w, 1)` in [0, 1], a byte each, as text."""
    pixels = np.round(255 * images).astype(np.uint8)
    return [base64.b64encode(image.tobytes()).decode("ascii") for image in pixels]


def page_settings(bundle: Bundle) -> dict[str, Any]:
    """What `page.json` holds."""
    samples = {side: bundle.samples(side) for side in "xy"}
    latents = bundle.manifest["latents"]
    locals_ = {side: entry["local"] for side, entry in bundle.manifest["sides"].items()}
    z = np.eye(latents["z"]["size"], dtype=np.float32)
    typical = {
        side: decode(z, np.zeros((len(z), latents[locals_[side]]["size"]), np.float32))
        for side, decode in {"x": bundle.decode_x, "y": bundle.decode_y}.items()
    }
    (readings,) = bundle.run_graph("posterior_x_z", {"x": samples["x"]})
    shown = first.first_shown(bundle, samples["x"], readings)
    shown["probabilities"] = shown["probabilities"].tolist()
    shown["images"] = _base64(shown["images"])
    return {
        "first": shown,
        "ink": {side: ink_of(images) for side, images in samples.items()},
        "samples": {side: _base64(images) for side, images in samples.items()},
        "concepts": concept_order(readings),
        "typical": {side: _base64(images) for side, images in typical.items()},
        "directions": {locals_[side]: directions(bundle, side).tolist() for side in "xy"},
    }


def assemble(bundle: Path, out: Path, ort: Path) -> None:
    """Write the servable folder, whole or not at all; an earlier page there is replaced.

    Args:
        bundle: folder of the bundle.
        out: folder to write.
        ort: onnxruntime-web's `dist`.

    Raises:
        PageError: if the page cannot show this bundle, `out` is no page, or a file of
            onnxruntime-web is missing.
        BundleError: if the bundle is not whole.
    """
    if out.exists() and not (out / "page.json").is_file():
        raise PageError(f"{out} should be new or an earlier page. Received: something else")
    absent = [name for name in _ORT_FILES if not (ort / name).is_file()]
    if absent:
        raise PageError(
            f"{ort} should hold {', '.join(absent)}. Received: no such file; `make web` installs "
            "onnxruntime-web"
        )
    opened = Bundle.load(bundle)
    check_shown(opened.manifest)
    settings = page_settings(opened)
    with whole_folder(out, replace=True) as new:
        shutil.copytree(_HERE / "page", new, dirs_exist_ok=True)
        (new / "ort").mkdir()
        for name in _ORT_FILES:
            shutil.copyfile(ort / name, new / "ort" / name)
        (new / "bundle" / "onnx").mkdir(parents=True)
        manifest = json.dumps(opened.manifest, indent=2, ensure_ascii=False)
        (new / "bundle" / "manifest.json").write_text(manifest + "\n", encoding="utf-8")
        for name in GRAPHS:
            file = opened.manifest["graphs"][name]["file"]
            shutil.copyfile(bundle / file, new / "bundle" / "onnx" / f"{name}.onnx")
        if WEIGHTS in opened.manifest["files"]:
            shutil.copyfile(bundle / WEIGHTS, new / "bundle" / WEIGHTS)
        (new / "page.json").write_text(json.dumps(settings) + "\n", encoding="utf-8")


def main(arguments: list[str] | None = None) -> int:
    """Assemble the page and say how to serve it."""
    parser = argparse.ArgumentParser(description="Assemble the browser page of a bundle.")
    parser.add_argument("--bundle", type=Path, help="default: the newest runs/*-bundle")
    parser.add_argument("--out", type=Path, default=Path("build/web"))
    options = parser.parse_args(arguments)
    try:
        bundle = options.bundle or newest_bundle(Path("runs"))
        assemble(bundle, options.out, _ORT)
    except (PageError, BundleError) as error:
        print(f"make web: {error}", file=sys.stderr)
        return 1
    size = sum(path.stat().st_size for path in options.out.rglob("*") if path.is_file())
    print(
        f"{options.out}: the page of {bundle}, {size / 1e6:.0f} MB. To serve it:\n"
        f"  python3 -m http.server --bind 127.0.0.1 --directory {options.out} 8000\n"
        "and open http://127.0.0.1:8000"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
