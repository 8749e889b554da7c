"""Damaged inputs at every door: `python tests/tools/hostile_inputs.py BUNDLE RUN [N [SEED]]`.

Names of doors may follow.

A door reads what users give: tables, arrays, images, folders, galleries, run folders, model files,
words of the command line, arguments of the runtime. It should refuse by a ValueError that says what
it received, or accept; soon, and in little memory.
"""

import collections
import contextlib
import csv
import io
import json
import os
import pathlib
import random
import resource
import shutil
import signal
import sys
import tempfile
import time
import traceback
import warnings
import zipfile

import numpy as np
from mutations import BYTES, ODD, TEXTS, TREES, edit_values, files_of

SECONDS, LONGEST = 2.0, 20
_NO_TREES = {"file of 1 TiB", "file a link out", "file a link in", "folder a link out"}


def damaged(rng, content):
    """Bytes, one to three times damaged."""
    if isinstance(rng, _Unharming):
        return content
    for _ in range(rng.choice([1, 1, 2, 3])):
        content = BYTES[rng.choice(sorted(BYTES))](rng, content)
    return content


def damaged_json(rng, content):
    """JSON damaged as bytes, as text or in its values."""
    if isinstance(rng, _Unharming):
        return content
    way = rng.choice(["bytes", "text", "values", "values", "values"])
    if way == "bytes":
        return damaged(rng, content)
    if way == "text":
        return TEXTS[rng.choice(sorted(TEXTS))](rng, content)
    values = json.loads(content)
    for _ in range(rng.choice([1, 1, 2])):
        edit_values(rng, values)
    return json.dumps(values).encode()


def damaged_file(rng, path):
    """A file damaged in place: its bytes, its values if it is JSON, or what it is."""
    if rng.random() < 0.1 and not isinstance(rng, _Unharming):
        TREES[rng.choice(sorted(TREES.keys() - _NO_TREES))](path.parent, path)
        return
    change = damaged_json if path.suffix == ".json" and rng.random() < 0.8 else damaged
    path.write_bytes(change(rng, path.read_bytes()))


# Doors: of a folder of their own and a generator, each reads something damaged.


def _tables(folder):
    import pyarrow
    import pyarrow.parquet

    rows = [
        {"x.a": n, "x.b": n / 3, "y.colour": "red" if n % 2 else "blue", "group": n // 4}
        for n in range(40)
    ]
    for name, delimiter in (("a.csv", ","), ("b.csv", ";"), ("c.tsv", "\t")):
        with (folder / name).open("w", newline="") as stream:
            writer = csv.DictWriter(stream, rows[0], delimiter=delimiter)
            writer.writeheader()
            writer.writerows(rows)
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), folder / "d.parquet")


def _read_table(folder, rng):
    from wyner_keras.data import load_pairs

    path = rng.choice(files_of(folder))
    damaged_file(rng, path)
    load_pairs(path)


def _arrays(folder):
    import h5py

    values = np.random.default_rng(0).normal(size=(40, 3)).astype("float32")
    np.save(folder / "a.npy", values)
    np.savez(folder / "b.npz", values)
    np.savez_compressed(folder / "c.npz", values)
    for name, options in (("d.h5", {}), ("e.h5", {"compression": "gzip", "chunks": (5, 3)})):
        with h5py.File(folder / name, "w") as file:
            file.create_dataset("values", data=values, **options)


def _read_arrays(folder, rng):
    from wyner_keras.data import load_pairs

    path = rng.choice(files_of(folder))
    shutil.copyfile(path, folder / f"y{path.suffix}")
    damaged_file(rng, path)
    load_pairs(path, folder / f"y{path.suffix}")


def _images(folder):
    from PIL import Image

    pixels = np.random.default_rng(0).integers(256, size=(12, 10, 4), dtype=np.uint8)
    image = Image.fromarray(pixels)
    for suffix in ("png", "webp", "tif"):
        image.save(folder / f"a.{suffix}")
    for suffix in ("jpg", "bmp"):
        image.convert("RGB").save(folder / f"b.{suffix}")
    image.convert("RGB").save(folder / "c.tiff", compression="tiff_lzw")
    image.convert("P").save(folder / "d.gif")
    image.convert("P").save(folder / "e.png")
    Image.fromarray(pixels[..., 0].astype(np.uint16) * 257).save(folder / "f.png")


def _read_images(folder, rng):
    from wyner_serving.image_file import read_image

    path = rng.choice(files_of(folder))
    damaged_file(rng, path)
    read_image(path)


def _pair_folder(folder):
    from PIL import Image

    rng = np.random.default_rng(0)
    for side in "xy":
        (folder / side).mkdir()
        for number in range(6):
            pixels = rng.integers(256, size=(8, 8), dtype=np.uint8)
            Image.fromarray(pixels).save(folder / side / f"{number}.png")


def _read_pair_folder(folder, rng):
    from wyner_keras.data import load, load_pairs

    damaged_file(rng, rng.choice(files_of(folder)))
    ways = [load_pairs, load]
    for read in ways if isinstance(rng, _Unharming) else [rng.choice(ways)]:
        read(str(folder))


def _gallery(folder):
    from wyner_serving import Bundle

    bundle = Bundle.load(BUNDLE, threads=1)
    bundle.gallery_y(bundle.samples("y")).save(folder / "a.gallery")


def _read_gallery(folder, rng):
    from wyner_serving import Gallery

    path = folder / "a.gallery"
    if rng.random() < 0.5:
        damaged_file(rng, path)
    else:
        with np.load(path) as arrays:
            held = dict(arrays)
        facts = damaged_json(rng, held["gallery"].item().encode())
        held["gallery"] = np.array(facts.decode(errors="replace"))
        with path.open("wb") as stream:
            np.savez(stream, **held)
    Gallery.load(path)


def _run_folder(folder):
    shutil.copytree(RUN, folder / "run", ignore=shutil.ignore_patterns("model.keras"))
    (folder / "run" / "model.keras").write_bytes(b"")


def _read_run(folder, rng):
    from wyner_keras import runs
    from wyner_keras.cli.report import judged_before

    names = ("settings.json", "settings.json", "history.json", "metrics.json", "examples.npz")
    damaged_file(rng, folder / "run" / rng.choice(names))
    run = runs.Run.open(folder / "run")
    runs.read_history(run.folder)
    found = judged_before(run, 0)
    if found is not None:
        found[0].table()
    examples = run.examples()
    examples.positions("x", None, 0)


def _read_recipe(folder, rng):
    from wyner_keras import runs

    damaged_file(rng, folder / "run" / "settings.json")
    assert runs.Run.open(folder / "run").recipe


def _model(folder):
    shutil.copyfile(RUN / "model.keras", folder / "model.keras")


def _read_model(folder, rng):
    from wyner_keras import runs

    path = folder / "model.keras"
    if rng.random() < 0.4:
        path.write_bytes(damaged(rng, path.read_bytes()))
    else:
        with zipfile.ZipFile(path) as archive:
            held = {name: archive.read(name) for name in archive.namelist()}
        name = rng.choice(["config.json", "config.json", "model.weights.h5", *sorted(held)])
        held[name] = (damaged_json if name.endswith("json") else damaged)(rng, held[name])
        with zipfile.ZipFile(path, "w") as archive:
            for each, content in held.items():
                archive.writestr(each, content)
    runs.load_model(path)


def _nothing(folder):
    (folder / "empty").mkdir()


def _text(rng, words):
    """Characters that mean something there, odd ones, and whole words."""
    characters = "0123456789n+-*:,= {}[]\"'.xy\\/\0é\u202e\U0001f600"
    parts = [rng.choice([*words, *characters]) for _ in range(rng.randint(0, 8))]
    return "".join(parts)


def _read_label_map(folder, rng):
    from wyner_keras.runs import label_map

    words = ["same", "add-one", "3n+2", "n+1", "0:1", "1:2,2:0", '{"0": 1}', "9" * 5000, "n"]
    classes = rng.choice([range(3), ["a", "b"], [0], [2, 5]])
    label_map(_text(rng, words), classes)


def _read_source(folder, rng):
    from wyner_keras.runs import Source

    values = {"pairs": str(folder), "held_out": 0.2, "kinds": {"x.a": "real"}, "seed": 0}
    edit_values(rng, values)
    Source.from_dict(values).load()


def _read_words(folder, rng):
    from wyner_keras.cli import main

    words = ["generate", "transfer", "rank", "export", "report", "evaluate", "train", "--from"]
    words += ["x", "prior", "--out", "--seed", "--samples", "--count", "--input", "--verify"]
    words += ["--json", "--quiet", "--key", "--sign", "--new-key", str(BUNDLE), str(folder), "-1"]
    words += ["a.png", "a.npz", "a.csv", "--side", "--gallery", "--k", "0", "3", "1e9", "9" * 5000]
    line = [rng.choice(words[:7])]
    line += [
        rng.choice(words) if rng.random() < 0.8 else _text(rng, words)
        for _ in range(rng.randint(0, 5))
    ]
    if rng.random() < 0.5:
        line[1:1] = [str(BUNDLE), "--from", rng.choice(["x", "y", "prior"]), "--out", "made.png"]
    os.chdir(folder)
    said = io.StringIO()
    with contextlib.redirect_stderr(said), contextlib.redirect_stdout(said):
        try:
            code = main(line)
        except SystemExit as error:
            code = error.code
    if code not in (0, 1, 2):
        raise RuntimeError(f"exit code {code} of {line}: {said.getvalue()}")
    if code:
        raise ValueError(f"Received: {said.getvalue()}")


def _odd_array(rng, shape):
    generator = np.random.default_rng(rng.randrange(2**32))
    values = generator.random(shape, dtype=np.float32)
    shapes = [shape, shape[:-1], (*shape, 2), shape[1:], (0, *shape[1:]), (), (3, *shape[2:])]
    dtype = rng.choice(["f2", "f4", "f8", ">f4", "i1", "i8", "u1", "?", "c8", "U3", "O", "M8[s]"])
    made = np.resize(values, rng.choice(shapes))
    way = rng.choice(["dtype", "shape", "value", "mask", "list", "odd"])
    if rng.random() < 0.6:
        return values
    if way == "dtype":
        with np.errstate(all="ignore"):
            return made.astype(dtype)
    if way == "value":
        values.flat[rng.randrange(values.size)] = rng.choice(
            [np.nan, np.inf, -np.inf, 1e38, -1, 2, 1e-45]
        )
        return values
    return {
        "shape": made,
        "mask": np.ma.masked_greater(values, 0.5),
        "list": values.tolist(),
        "odd": rng.choice(ODD),
    }[way]


def _ask(folder, rng):
    from wyner_serving import Bundle

    bundle = opened(Bundle)
    x, y, z = (3, *bundle.example_shape("x")), (3, *bundle.example_shape("y")), (3, 3)
    x, y, z, u = (_odd_array(rng, shape) for shape in (x, y, z, (3, 2)))
    seed = rng.choice([0, 1]) if rng.random() < 0.7 else rng.choice(ODD)
    # A count that is too large is one that fits no memory, or one that takes for ever.
    odd = [each for each in ODD if type(each) is not int or not 100 < each < 10**17]
    count = rng.choice([1, 2]) if rng.random() < 0.7 else rng.choice(odd)
    call = rng.choice(
        [
            lambda: bundle.generate_y(x, seed=seed, samples=count),
            lambda: bundle.generate_x(y, seed=seed),
            lambda: bundle.generate_pairs(count, seed=seed),
            lambda: bundle.transfer_x(style=x, concept=y, seed=seed),
            lambda: bundle.encode_x(x, seed=seed),
            lambda: bundle.decode_x(z, u),
            lambda: bundle.rank(x, y, k=count),
            lambda: bundle.log_pmi(x, y),
        ]
    )
    results = call()
    for each in results if isinstance(results, tuple) else [results]:
        if each is not None and not np.isfinite(each).all():
            raise RuntimeError("an answer that is not finite")


_OPENED = {}


def opened(kind):
    """The bundle, opened once a process."""
    if "bundle" not in _OPENED:
        _OPENED["bundle"] = kind.load(BUNDLE, threads=1)
    return _OPENED["bundle"]


def _read_checkpoint_folder(folder):
    (folder / "reached").mkdir()
    _model(folder / "reached")
    (folder / "reached" / "progress.json").write_text(
        json.dumps({"history": {}, "seconds": {"a": 1.0}})
    )


def _read_checkpoints(folder, rng):
    import wyner_keras.stage  # noqa: F401  (registers the classes)
    from wyner_keras import checkpoints

    damaged_file(rng, folder / "reached" / rng.choice(["progress.json", "model.keras"]))
    checkpoints.load(folder)


# By name: what is made once, what reads it damaged, and the share of the inputs.
DOORS = {
    "tables": (_tables, _read_table, 0.15),
    "arrays": (_arrays, _read_arrays, 0.15),
    "images": (_images, _read_images, 0.2),
    "folders of images": (_pair_folder, _read_pair_folder, 0.05),
    "galleries": (_gallery, _read_gallery, 0.1),
    "run folders": (_run_folder, _read_run, 0.1),
    "recipes": (_run_folder, _read_recipe, 0.05),
    "model files": (_model, _read_model, 0.02),
    "checkpoints": (_read_checkpoint_folder, _read_checkpoints, 0.01),
    "label maps": (_nothing, _read_label_map, 0.05),
    "sources": (_nothing, _read_source, 0.02),
    "words of the command": (_nothing, _read_words, 0.05),
    "arguments of the runtime": (_nothing, _ask, 0.05),
}
BUNDLE = RUN = None


_OF_FILES = [name for name, (make, _, _) in DOORS.items() if make is not _nothing]


class _Unharming(random.Random):
    """Draws by which nothing is damaged."""


class _HangError(BaseException):
    """Raised by the alarm."""


def _rang(*_):
    raise _HangError


def attempt(made, read, seed, longest=LONGEST):
    """What became of one damaged input: a kind, and what is told of it."""
    kind, told, before = "accepted", "", os.getcwd()
    with tempfile.TemporaryDirectory() as place:
        folder = pathlib.Path(place) / "given"
        shutil.copytree(made, folder)
        signal.alarm(longest)
        try:
            read(folder, _Unharming(0) if seed is None else random.Random(seed))
        except ValueError as error:
            # One that is not the project's own says nothing of what was received.
            kind = "refused" if "Received" in str(error) else "crash"
            told = _line(error)
        except MemoryError as error:
            kind, told = "memory", _line(error)
        except _HangError as error:
            kind, told = "hang", _line(error)
        except BaseException as error:
            kind, told = "crash", _line(error)
        finally:
            signal.alarm(0)
            os.chdir(before)
    return kind, told


def _line(error):
    frames = [f"{pathlib.Path(each.filename).name}:{each.lineno}"
              for each in traceback.extract_tb(error.__traceback__)[-3:]]  # fmt: skip
    return f"{type(error).__name__} at {' '.join(frames)}: {str(error)[:200]}"


def run(name, count, seed):
    """Outcomes at one door: (seed, kind, told, seconds); in a process of its own, see `main`."""
    signal.signal(signal.SIGALRM, _rang)
    make, read, _ = DOORS[name]
    with tempfile.TemporaryDirectory() as place:
        made = pathlib.Path(place) / "made"
        made.mkdir()
        make(made)
        # What is imported at first use is no input's doing; and what is whole should be taken.
        found = attempt(made, read, None, longest=0)
        if name in _OF_FILES and found[0] != "accepted":
            yield None, "crash", f"whole: {found}", 0.0
        for number in range(seed, seed + count):
            began = time.monotonic()
            kind, told = attempt(made, read, number)
            yield number, kind, told, time.monotonic() - began


def main(bundle, run_folder, count=20_000, seed=0, *names):
    """Print what became of them; 1 if anything was not as it should be."""
    global BUNDLE, RUN
    BUNDLE, RUN = pathlib.Path(bundle).absolute(), pathlib.Path(run_folder).absolute()
    wrong = False
    print(
        "| door | inputs | refused | accepted | else | slowest, s | most memory, MB |", flush=True
    )
    print("|---|---|---|---|---|---|---|", flush=True)
    for name in names or DOORS:
        child = os.fork()
        if not child:
            os._exit(_door(name, round(int(count) * DOORS[name][2]), int(seed)))
        _, status = os.waitpid(child, 0)
        if os.WIFSIGNALED(status):
            print(f"| {name} | killed by signal {os.WTERMSIG(status)} |", flush=True)
        wrong |= status != 0
    return wrong


def _door(name, count, seed):
    """Inputs at one door; 1 if anything was wrong."""
    table, slowest, wrong = collections.Counter(), 0.0, []
    quiet = os.open(os.devnull, os.O_WRONLY)
    os.dup2(quiet, 2)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for number, kind, told, seconds in run(name, count, seed):
            table[kind] += 1
            slowest = max(slowest, seconds)
            if kind not in ("refused", "accepted"):
                wrong.append(f"wrong: {name}, seed {number}: {kind}: {told}")
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(
        f"| {name} | {table.total()} | {table['refused']} | {table['accepted']} | {len(wrong)} | "
        f"{slowest:.2f} | {most:.0f} |"
    )
    print("\n".join(wrong[:100]), flush=True)
    return int(bool(wrong))


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
