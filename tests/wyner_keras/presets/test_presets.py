"""Presets are found by name, opened with and without Keras, pushed, and checked."""

import importlib.util
import json
import lzma
import re
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import hub
import numpy as np
import pytest
import tiny_bundle

import wyner_keras as wk
from wyner_serving import Bundle, BundleError, InputError, presets

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def script():
    """release/presets.py, which is no package."""
    spec = importlib.util.spec_from_file_location("made", ROOT / "release" / "presets.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules["made"] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def wheel(script, write, monkeypatch, tmp_path):
    """A folder of the data wheel that holds the preset "tiny"."""
    place = tmp_path / "site" / presets.PACKAGE
    place.mkdir(parents=True)
    (place / "tiny.tar.xz").write_bytes(script.pack(write(), 1000))
    monkeypatch.syspath_prepend(place.parent)
    monkeypatch.setenv("WYNER_CACHE_DIR", str(tmp_path / "cache"))
    return place


@pytest.fixture
def hub_here(monkeypatch, tmp_path):
    found = hub.stand_in(tmp_path)
    monkeypatch.setitem(sys.modules, "huggingface_hub", found)
    monkeypatch.setenv("WYNER_CACHE_DIR", str(tmp_path / "cache"))
    return found


def test_a_folder_opens_with_keras_and_without(write, same, judge):
    folder = write()
    assert sorted(path.name for path in folder.iterdir()) == [
        "README.md",
        "bundle",
        "model.keras",
        "preset.json",
    ]
    same(wk.WynerModel.from_preset(folder))
    same(Bundle.from_preset(folder, threads=1))
    same(Bundle.from_preset(folder / "bundle"))
    assert judge.asked == [(7, 0), (7, 1), (7, 2)]


def test_the_card_says_all_that_it_was_told_and_no_folder_of_this_machine(write):
    folder = write(steps=16)
    text = (folder / "README.md").read_text()
    for said in (
        'license: "apache-2.0"',
        "Noise, and other noise.",
        "licence of the data: CC0-1.0",
        "| joint coherence | share | 0.500 | 1.000 | ceiling; 95 %: 0.460 to 0.560 |",
        "95 %: 0.500 to 0.700",
        "| – | 1.0 |",
        "16 steps",
        "    wyner train --pairs noise --out run",
        "    wyner card --check tiny",
        "z holds 1.00 nats",
    ):
        assert said in text
    facts = presets.facts(folder)
    assert facts["data"]["source"] == {"pairs": "noise"}
    assert "somebody" not in text + json.dumps(facts)
    # Of three values one hundredth apart, by Student's t of two degrees of freedom: 4.303 × 0.01 ×
    # √(4/3) about their mean.
    low, high = facts["judged"]["figures"]["joint_coherence"]["low"], 0.51 + 0.0496841
    assert (low, high) == pytest.approx((0.51 - 0.0496841, high), abs=1e-5)


def test_a_preset_of_the_wheel_is_unpacked_once(wheel, same, script):
    assert presets.names() == ["tiny"]
    same(Bundle.from_preset("tiny"))
    folder = presets.find("tiny")
    before = folder.stat().st_mtime_ns
    same(wk.WynerModel.from_preset("tiny"))
    assert presets.find("tiny").stat().st_mtime_ns == before
    (folder / "new").touch()
    (wheel / "tiny.tar.xz").write_bytes(script.pack(folder, 1000))
    assert presets.find("tiny") != folder


def test_of_two_processes_that_unpack_one_preset_the_first_keeps_what_it_reads(wheel, monkeypatch):
    opened, found = tarfile.open, []

    def slow(*given):
        if not found:
            found.append(None)
            found[0] = presets.find("tiny"), presets.find("tiny").stat().st_ino
        return opened(*given)

    monkeypatch.setattr(tarfile, "open", slow)
    folder = presets.find("tiny")
    assert found == [(folder, folder.stat().st_ino)]
    assert [*folder.parent.iterdir()] == [folder]


def test_who_has_no_home_is_told_what_to_set(wheel, monkeypatch):
    """As in a container, whose user may be a number alone."""
    monkeypatch.delenv("WYNER_CACHE_DIR")
    for name in ("HOME", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("pwd.getpwuid", lambda number: {}[number])
    with pytest.raises(InputError, match="WYNER_CACHE_DIR should name a folder"):
        presets.find("tiny")


def test_a_wheel_is_the_same_bytes_twice(script, write, tmp_path, monkeypatch):
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")
    folder = write()
    path = script.build(folder.parent, tmp_path / "out")  # which compares two
    with zipfile.ZipFile(path) as archive:
        names = archive.namelist()
        packed = lzma.decompress(archive.read("wyner_keras_models/tiny.tar.xz"))
        assert {entry.date_time[0] for entry in archive.infolist()} == {2023}
        metadata = archive.read(next(name for name in names if name.endswith("METADATA"))).decode()
    assert b"preset.json" in packed
    assert "licence of the data: CC0-1.0" in metadata and "library_name" not in metadata


def test_every_preset_of_the_makefile_can_be_made(script):
    for made in script.PRESETS.values():
        wk.presets.Card(
            about=made.about, licence="MIT", data=made.data, data_licence=made.data_licence
        )
    (named,) = re.findall(r"^PRESETS \?= (.*)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert set(named.split()) <= set(script.PRESETS)


def test_a_hub_takes_and_gives_presets(hub_here, write, card, tiny, held_out, same):
    settings = {"held_out": held_out, "repeats": 2, "verbose": False}
    assert tiny.push("hf://me/noise", card, **settings) == "hub/me/noise"
    assert "# noise" in (hub_here.there / "me/noise/main/README.md").read_text()
    same(wk.WynerModel.from_preset("hf://me/noise"))
    same(Bundle.from_preset("hf://me/noise@main"))
    first = presets.find("hf://me/noise")
    assert not any(path.is_symlink() for path in first.rglob("*"))
    # Of an earlier bundle nothing is left, which would be a stranger in this one.
    (hub_here.there / "me/noise/main/bundle/old.onnx").write_bytes(b"old")
    wk.presets.push(first, "hf://me/noise")
    same(Bundle.from_preset("hf://me/noise"))
    with pytest.raises(OSError, match=r"hf://me/gone should be there .* RepositoryNotFoundError"):
        presets.find("hf://me/gone")


def test_who_is_not_logged_in_hears_of_it_before_the_figures(
    hub_here, judge, card, tiny, held_out, monkeypatch
):
    monkeypatch.setattr(hub_here.HfApi, "token", None)
    with pytest.raises(OSError, match=r"should take the upload.* LocalTokenNotFoundError"):
        tiny.push("hf://me/noise", card, held_out=held_out, repeats=2, verbose=False)
    assert not judge.asked and not hub_here.there.exists()


@pytest.mark.parametrize(
    "target", ["hf://noise", "hf://a/b/c", "hf://../b", "me/noise", "hf://a/b@"]
)
def test_a_repository_is_owner_and_name(target):
    with pytest.raises(InputError, match="should be hf://owner/name"):
        presets.parse_hub(target)


def test_without_the_hub_its_extra_is_named(monkeypatch, refused, tmp_path):
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    words = ("generate", "preset:hf://a/b", "--from", "prior", "--out", tmp_path / "a.png")
    line = refused(*words, code=1)
    assert line.endswith("hf://a/b needs huggingface_hub: pip install 'wyner-keras[hub]'")


def test_an_unknown_name_is_told_what_there_is(wheel, refused, tmp_path):
    expected = r"wyner-keras-models \(tiny\), a folder with preset.json, or hf://owner/name"
    with pytest.raises(InputError, match=rf"{expected}. Received: 'tinny'"):
        Bundle.from_preset("tinny")
    words = ("rank", "preset:tinny", "--from", "x", "--out", tmp_path / "a.csv")
    assert re.search(expected, refused(*words))


def test_without_the_wheel_that_is_said():
    with pytest.raises(ValueError, match="wyner-keras-models is not installed"):
        wk.WynerModel.from_preset("digits_subtract_one")


def test_damage_is_refused(write, tmp_path):
    folder = write(bundle=False)
    with pytest.raises(BundleError, match="should hold a bundle in bundle/"):
        Bundle.from_preset(folder)
    (folder / "model.keras").write_bytes(b"PK")
    with pytest.raises(ValueError, match="should be a saved model"):
        wk.WynerModel.from_preset(folder)
    for text in ("{", "[]", '{"format": 2}', '{"format": true}'):
        (folder / "preset.json").write_text(text)
        with pytest.raises(InputError, match=r"preset\.json"):
            wk.presets.check(folder)
    (folder / "preset.json").write_text('{"format": 1, "judged": {"figures": []}}')
    with pytest.raises(ValueError, match="should hold judged figures"):
        wk.presets.check(folder)


def test_commands_take_presets(wheel, call, tmp_path):
    for number, words in enumerate(
        (
            ("generate", "preset:tiny", "--from", "prior", "--count", 3),
            ("transfer", "preset:tiny", "--side", "x"),
        )
    ):
        code, _, error = call(*words, "--out", tmp_path / f"{number}.npz")
        assert code == 0, error
    assert np.load(tmp_path / "0.npz")["x"].shape == (3, 8, 8, 1)
    assert call("rank", "preset:tiny", "--from", "x", "--out", tmp_path / "a.csv")[0] == 0
    words = ("bulk", "preset:tiny", "--task", "generate_pairs", "--count", 3, "--format", "npz")
    assert call(*words, "--output", tmp_path / "bulk")[0] == 0


def test_a_bundle_of_a_preset_needs_no_tensorflow(write, tmp_path):
    folder = write()
    words = ["generate", f"preset:{folder}", "--from", "prior", "--out", str(tmp_path / "a.png")]
    code = (
        f"import sys; from wyner_keras.cli import main; code = main({words}); "
        "sys.exit(code or bool({'tensorflow', 'keras'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_check_says_what_differs_by_more_than_its_interval(write, judge, held_out, monkeypatch):
    folder = write()
    found = wk.presets.check(folder, held_out=held_out)
    assert not found.differing and set(found.figures) == {
        *("joint_coherence", "two_sample_joint", "frechet_y"),
        *("nats i_xy_z", "nats i_x_z", "nats i_y_z"),
    }
    assert str(found) == "6 figures are within the intervals of the card"
    judge.coherence = 0.4
    found = wk.presets.check(folder, held_out=held_out)
    assert [*found.differing] == ["joint_coherence"]
    assert "joint coherence: 0.4, on the card 0.5 (0.4603 to 0.5597)" in str(found)
    with pytest.raises(ValueError, match="noise"):  # which is not here
        wk.presets.check(folder)


def test_the_command_checks_and_its_code_tells(write, judge, call, tiny_images, tmp_path):
    folder = write(bundle=False)
    arrays = []
    for side, images in zip("xy", tiny_images, strict=True):
        np.save(tmp_path / f"{side}.npy", images)
        arrays += [f"--{side}", tmp_path / f"{side}.npy"]
    words = ("card", "--check", folder, *arrays, "--held-out", "0.4", "--quiet")
    code, out, error = call(*words)
    assert (code, out) == (0, "6 figures are within the intervals of the card\n"), error
    judge.coherence = 0.9
    code, out, _ = call(*words, "--json")
    assert code == 1
    values = json.loads(out)
    assert values["compared"] == 6 and [*values["differing"]] == ["joint_coherence"]


def test_a_run_is_handed_on(tiny, judge, call, monkeypatch, tmp_path, held_out):
    run = tiny_bundle.write_tiny_run(tiny, tmp_path / "run")
    monkeypatch.setattr("wyner_keras.runs.Run.pairs", lambda self: (held_out, held_out))
    said = ("--about", "Noise", "--licence", "MIT", "--data-name", "ours", "--data-licence", "CC0")
    words = ("card", run, "--out", tmp_path / "noise", *said, "--no-bundle", "--repeats", 2)
    code, _, error = call(*words)
    assert code == 0, error
    facts = presets.facts(tmp_path / "noise")
    assert facts["data"]["source"] == {"pairs": "pairs"}
    assert facts["commands"][1] == (
        "wyner card run --out noise --about Noise --licence MIT --data-name ours "
        "--data-licence CC0 --repeats 2 --no-bundle"
    )
    assert wk.WynerModel.from_preset(tmp_path / "noise").identity


def test_what_is_missing_is_named(refused):
    line = refused("card", "run", "--out", "a", "--about", "b")
    assert line.endswith("Received: --licence and --data-name and --data-licence missing")
    assert "--out too" in refused("card", "--check", "a", "--out", "b")
    assert "should be one of" in refused("card", "--check", "no-such-preset")


@pytest.mark.parametrize("broken", [{"about": " "}, {"licence": None}, {"commands": "wyner"}])
def test_a_card_is_texts(broken):
    said = {"about": "a", "licence": "b", "data": "c", "data_licence": "d"}
    with pytest.raises(ValueError, match=f"`{next(iter(broken))}` should be"):
        wk.presets.Card(**said | broken)


def test_kernels_are_rounded_to_powers_of_two(tiny):
    before = tiny.get_weights()
    small = wk.presets.stepped(tiny, 16)
    for old, new, kept in zip(before, small.get_weights(), tiny.get_weights(), strict=True):
        np.testing.assert_array_equal(old, kept)
        size = np.sqrt(np.mean(old.astype(float) ** 2))
        if old.ndim < 2 or not size:
            np.testing.assert_array_equal(old, new)
            continue
        assert np.abs(new - old).max() <= 0.5 * size / 16 * np.sqrt(2)
        step = 2.0 ** np.round(np.log2(size / 16))
        np.testing.assert_array_equal(new / step, np.round(new / step))
    with pytest.raises(ValueError, match="`steps` should be"):
        wk.presets.stepped(tiny, 0)
