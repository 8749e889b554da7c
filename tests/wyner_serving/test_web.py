import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from mutations import seal

from wyner_serving import Bundle, BundleError
from wyner_serving.web import assemble as web

ORT = ("ort.wasm.min.mjs", "ort-wasm-simd-threaded.mjs", "ort-wasm-simd-threaded.wasm")


@pytest.fixture
def ort(tmp_path):
    folder = tmp_path / "ort"
    folder.mkdir()
    for name in ORT:
        (folder / name).write_text(name)
    return folder


def test_a_page_holds_what_it_needs_and_no_more(bundle, ort, tmp_path):
    out = tmp_path / "deep" / "web"
    web.assemble(bundle, out, ort)
    held = {path.relative_to(out).as_posix() for path in out.rglob("*") if path.is_file()}
    graphs = {"posterior_x_z", "posterior_y_z", "encode_x_u", "encode_y_v", "decode_x", "decode_y"}
    assert {"index.html", "style.css", "app.js", "worker.js", "page.json"} <= held
    assert {name for name in held if "/" in name} == {
        *(f"ort/{name}" for name in ORT),
        *(f"bundle/onnx/{name}.onnx" for name in graphs),
        "bundle/onnx/weights.bin",
        "bundle/manifest.json",
    }
    for file in (Path("onnx", "decode_y.onnx"), Path("onnx", "weights.bin")):
        assert (out / "bundle" / file).read_bytes() == (bundle / file).read_bytes()
    manifest = json.loads((out / "bundle" / "manifest.json").read_text())
    assert manifest == Bundle.load(bundle).manifest
    settings = json.loads((out / "page.json").read_text())
    assert sorted(settings["concepts"]) == [0, 1, 2]
    assert len(settings["samples"]["x"]) == 7 and len(settings["typical"]["y"]) == 3
    assert np.shape(settings["directions"]["v"]) == (2, 4)
    assert settings["first"]["sample"] == 3 and len(settings["first"]["images"]) == 12
    assert sum(settings["first"]["probabilities"]) == pytest.approx(1)
    assert list(out.parent.iterdir()) == [out]


def test_every_module_of_the_page_is_asked_for_at_once():
    """Modules found one after the other would cost a round trip each."""
    page = web._HERE / "page"
    html = (page / "index.html").read_text()
    modules = {path.name for path in page.glob("*.js")} - {"worker.js"}
    assert all(f'"{name}"' in html for name in modules)


def test_an_earlier_page_is_replaced_and_anything_else_is_not(bundle, ort, tmp_path):
    out = tmp_path / "web"
    web.assemble(bundle, out, ort)
    (out / "left-over").touch()
    web.assemble(bundle, out, ort)
    assert not (out / "left-over").exists()
    (tmp_path / "mine").mkdir()
    with pytest.raises(web.PageError, match="should be new or an earlier page"):
        web.assemble(bundle, tmp_path / "mine", ort)


def test_a_failure_leaves_the_earlier_page(bundle, ort, tmp_path, monkeypatch):
    out = tmp_path / "web"
    web.assemble(bundle, out, ort)
    before = sorted(tmp_path.rglob("*"))

    def fail(*arguments, **options):
        raise OSError("full")

    monkeypatch.setattr("shutil.copyfile", fail)
    with pytest.raises(OSError, match="full"):
        web.assemble(bundle, out, ort)
    assert sorted(tmp_path.rglob("*")) == before


def test_the_earlier_page_comes_back_when_the_new_one_cannot_be_put_there(
    bundle, ort, tmp_path, monkeypatch
):
    out = tmp_path / "web"
    web.assemble(bundle, out, ort)
    before = sorted(tmp_path.rglob("*"))
    rename = web.Path.rename

    def fail(self, target):
        if self.name == "new":
            raise OSError("gone")
        return rename(self, target)

    monkeypatch.setattr(web.Path, "rename", fail)
    with pytest.raises(OSError, match="gone"):
        web.assemble(bundle, out, ort)
    assert sorted(tmp_path.rglob("*")) == before


def test_the_newest_bundle_is_taken(tmp_path):
    for age, name in enumerate(("b-bundle", "a-bundle", "c")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "manifest.json").touch()
        os.utime(tmp_path / name / "manifest.json", (age, age))
    assert web.newest_bundle(tmp_path).name == "a-bundle"


def test_without_a_bundle_the_message_says_how_to_make_one(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert web.main([]) == 1
    assert "`make demo` makes one" in capsys.readouterr().err
    assert web.main(["--bundle", "nowhere"]) == 1


def test_the_command_says_how_to_serve_the_page(bundle, ort, tmp_path, monkeypatch, capsys):
    out = tmp_path / "web"
    monkeypatch.setattr(web, "_ORT", ort)
    assert web.main(["--bundle", str(bundle), "--out", str(out)]) == 0
    said = capsys.readouterr().out
    assert f"python3 -m http.server --bind 127.0.0.1 --directory {out} 8000" in said


def test_onnxruntime_web_must_be_there(bundle, ort, tmp_path):
    (ort / ORT[2]).unlink()
    with pytest.raises(web.PageError, match=r"should hold ort-wasm-simd-threaded\.wasm"):
        web.assemble(bundle, tmp_path / "web", ort)


def changed(manifest, *path, **values):
    copy = json.loads(json.dumps(manifest))
    place = copy
    for key in path:
        place = place[key]
    place.update(values)
    return copy


@pytest.mark.parametrize(
    ("path", "values", "message"),
    [
        (("latents", "z"), {"n": 2}, "one categorical"),
        (("latents", "z"), {"family": "gaussian"}, "one categorical"),
        (("latents", "z"), {"family": "product"}, "one categorical"),
        (("latents",), {"v": None}, "Received: v=None"),
        (("latents", "u"), {"size": 1}, "2 dimensions or more"),
        (("sides", "y"), {"shape": [8, 8, 3]}, "one ink"),
        (("sides", "x"), {"shape": [8, 6, 1]}, "square paper"),
        (("sides", "y"), {"shape": [12, 12, 1]}, "both should have one shape"),
        ((), {"graphs": {}}, "posterior_x_z.*export its run again"),
    ],
)
def test_a_model_that_the_page_cannot_show_is_refused(bundle, path, values, message):
    manifest = Bundle.load(bundle).manifest
    web.check_shown(manifest)
    with pytest.raises(web.PageError, match=message):
        web.check_shown(changed(manifest, *path, **values))


@pytest.mark.parametrize(("name", "side"), [("columns", "x"), ("mixed", "y")])
def test_the_page_is_for_images(bundle_of, ort, tmp_path, name, side):
    """And says so before anything is written."""
    expected = rf"The page is for images.*Received: {side} of kind vector; .* take such data"
    with pytest.raises(web.PageError, match=expected):
        web.assemble(bundle_of(name), tmp_path / "web", ort)
    assert not (tmp_path / "web").exists()


def test_a_bundle_without_samples_is_refused(bundle, ort, tmp_path):
    shutil.copytree(bundle, tmp_path / "bare")
    values = json.loads((tmp_path / "bare" / "manifest.json").read_text())
    for file in (tmp_path / "bare" / "samples" / "y").iterdir():
        del values["files"][file.relative_to(tmp_path / "bare").as_posix()]
        file.unlink()
    (tmp_path / "bare" / "manifest.json").write_text(json.dumps(values))
    seal(tmp_path / "bare", files=False)
    with pytest.raises(BundleError, match="samples/y"):
        web.assemble(tmp_path / "bare", tmp_path / "web", ort)


def test_ink_of_a_bar_is_its_length_width_and_place():
    """A bar 20 pixels high and 3 wide in 28: its area over half its outline is 3 · 20 / 23."""
    image = np.zeros((2, 28, 28, 1), np.float32)
    image[:, 4:24, 10:13] = 1
    ink = web.ink_of(image)
    assert ink["extent"] == pytest.approx(20 / 28)
    assert ink["centre"] == pytest.approx([14 / 28, 11.5 / 28])
    assert ink["pen"] == pytest.approx(3 * 20 / 23 / 28, rel=0.02)


class Linear:
    """A decoder whose image is a fixed map of its local latent."""

    def __init__(self, weights):
        latents = {"z": {"size": 2}, "u": {"size": len(weights)}}
        self.manifest = {"sides": {"x": {"local": "u"}}, "latents": latents}
        self.weights = weights

    def decode_x(self, z, u):
        return (u @ self.weights).reshape(len(u), 2, -1, 1) + z[:, :1, None, None]


def test_directions_are_the_principal_axes_of_what_the_decoder_does():
    rng = np.random.default_rng(0)
    rotation, _ = np.linalg.qr(rng.normal(size=(4, 4)))
    # Rows of `rotation` change the image by 3, 2, 1 and 0.1.
    basis, _ = np.linalg.qr(rng.normal(size=(6, 4)))
    weights = rotation.T @ np.diag([3.0, 2.0, 1.0, 0.1]) @ basis.T
    found = web.directions(Linear(weights.astype(np.float32)), "x")
    np.testing.assert_allclose(np.abs(found @ rotation.T), np.eye(2, 4), atol=1e-4)
    assert (np.take_along_axis(found, np.abs(found).argmax(axis=1)[:, None], axis=1) > 0).all()


def test_concepts_are_in_the_order_of_the_samples_that_show_them():
    # The first two samples are both read as value 2; the less sure one takes what is left for it.
    probabilities = np.array([[0.02, 0.0, 0.95, 0.03], [0.0, 0.2, 0.7, 0.1], [0.9, 0.1, 0.0, 0.0]])
    assert web.concept_order(probabilities) == [2, 1, 0, 3]
