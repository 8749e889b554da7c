"""Kills commands at random moments, gives them again, and compares with what nobody killed.

Run: python tests/tools/kill_moments.py [KILLS [SEED [COMMAND...]]]

A moment is a time or a step with files (see `file_steps`), uniform over the unbroken command's, and
of a run that goes on over what should be left of them. After each kill every file that has its name
is opened. One run is killed several times before it ends.
"""

import collections
import concurrent.futures
import csv
import dataclasses
import functools
import hashlib
import io
import json
import os
import pathlib
import random
import re
import shutil
import signal
import sys
import tempfile
import time
import zipfile

import h5py
import numpy as np
import pyarrow.parquet
import tensorflow as tf
from bars import bars
from file_steps import count_steps
from PIL import Image

import experiments.registry
import wyner_export
import wyner_keras as wk
from experiments import studies
from wyner_keras import evaluation, information, losses, recipes, reporting, runs
from wyner_keras.cli import evaluate, main, outputs
from wyner_serving import Bundle
from wyner_serving.contents import check_contents
from wyner_serving.manifest import read_sealed
from wyner_serving.seal import UNLISTED

# Named to be imported before a process is forked, so that moments are of the work.
PRELOADED = (evaluate, evaluation, information, outputs, reporting, wyner_export, experiments)
KILLS, SEED = 50, 0
MOST = 10  # kills of one run, before it may end
LEAST = 0.2  # of the command, to begin and go on
# By name, what tells when something was done; and Keras' address of an object in memory.
VARIES = {"seconds", "started", "date_saved", "shared_object_id"}
# Of a bundle, what is compared by what it answers.
BUILT = re.compile(r"bundle/(onnx/|saved_model/|manifest\.)")
UNFINISHED = re.compile(r"\.writing-[a-z0-9_]{8}$")


# What is done.


def tiny_recipe(facts, *, seed=0):
    """Codecs and all stages, each of three epochs of tiny networks."""

    def stage(name, loss, **settings):
        given = {"epochs": 3, "batch_size": 16, **settings}
        return wk.StageSettings(name=name, loss=loss, **given)

    side = wk.SideSettings(
        local=wk.DiagonalGaussian(dim=2), hidden=(8,), reader="features", flow_steps=1
    )
    plain = dataclasses.replace(side, flow_steps=0)  # half as much to export
    codec = wk.CodecSettings(code_size=3, filters=(2, 3), epochs=3, batch_size=16)
    return wk.Recipe(
        z=wk.Categorical(n=1, k=3),
        sides={"x": side, "y": plain},
        codecs={"x": codec, "y": codec},
        stages=(
            stage("alignment", losses.Alignment(dimensions=4)),
            stage("joint", losses.Joint()),
            stage("flow", losses.Matching(), average=0.9),
            stage("marginal", losses.Marginal()),
            stage("refinement", losses.Refinement()),
        ),
        seed=seed,
    )


def write_data(folder):
    """Pairs of 8x8 images by name, and rows for bulk work."""
    rng = np.random.default_rng(0)
    for side in "xy":
        (folder / "pairs" / side).mkdir(parents=True)
        for number in range(60):
            pixels = rng.integers(0, 25, (8, 8), np.uint8)
            first = 2 * (number % 3)
            pixels[first : first + 3, 1:7] += 200
            Image.fromarray(pixels).save(folder / "pairs" / side / f"{number:03}.png")
    np.save(folder / "x.npy", rng.random((3000, 8, 8), np.float32))


def train(given, out):
    """Codecs, stages, pictures and figures."""
    resume = ["--resume"] if runs.partial_folder(out / "run").exists() else []
    words = ["--resume"] if resume else ["--pairs", given / "pairs", "--seed", 3]
    return ["train", *words, "--out", out / "run"]


def export(given, out):
    """A bundle of the unbroken run."""
    return ["export", given / "run", "--out", out / "bundle"]


def report(given, out):
    """The page of that run, in a copy of it."""
    if not (out / "run").exists():
        shutil.copytree(given / "run", out / "run")
    return ["report", out / "run"]


def bulk(given, out):
    """Generation into Parquet."""
    words = ["--input", given / "x.npy", "--output", out / "made", "--rows-per-part", 100]
    return ["bulk", given / "bundle", "--task", "generate_y", *words]


def bulk_images(given, out):
    """Generation into folders of images."""
    return [*bulk(given, out), "--format", "images", "--count", 500]


def sweep(given, out):
    """Two configurations of a study, their table and their picture."""

    def configuration(dim):
        recipe = tiny_recipe(None)
        local = {name: dataclasses.replace(side, local=wk.DiagonalGaussian(dim=dim))
                 for name, side in recipe.sides.items()}  # fmt: skip
        stages = tuple(recipe.stage(name) for name in ("joint", "marginal"))
        recipe = dataclasses.replace(recipe, sides=local, stages=stages)
        return studies.Configuration(owner="tiny", label=f"U of {dim}", recipe=recipe)

    size = studies.Size(name="tiny", pairs_per_class=16, inputs=30, styles=4, concepts=4)
    group = studies.Group(title="tiny", configurations=(configuration(2), configuration(3)))
    described = studies.Sweep(name="tiny", title="Tiny", groups=(group,))
    experiment = studies.Experiment(
        folder=out / "sweep", source=bars(), data="bars", size=size, seed=0
    )
    results = studies.run_sweep(described, experiment)
    studies.write_report(described, experiment, results)


@dataclasses.dataclass(frozen=True)
class Command:
    """What is killed.

    Args:
        do: gives the words of `wyner`, or does the work itself.
        made: the name of what it makes in its folder.
        share: of the kills.
        once: whether it is refused, by exit code 2, where that is already.
        eager: whether TensorFlow runs step by step, where tracing would be most of the time.
    """

    do: object
    made: str
    share: float
    once: bool = False
    eager: bool = True


COMMANDS = {
    "train": Command(train, "run", 0.2, once=True),
    "export": Command(export, "bundle", 0.06, once=True, eager=False),
    "report": Command(report, "run", 0.14),
    "bulk": Command(bulk, "made", 0.24),
    "bulk, images": Command(bulk_images, "made", 0.24),
    "sweep": Command(sweep, "sweep", 0.12),
}


# How it is done, and killed.


@dataclasses.dataclass(frozen=True)
class Ended:
    """How a process ended.

    Args:
        killed: whether by its moment.
        code: else its exit code.
        seconds: by the clock.
        steps: that it took with files.
        said: on stdout and stderr.
    """

    killed: bool
    code: int
    seconds: float
    steps: int
    said: str


def run(command, given, out, second=None, step=None):
    """A command in a forked process, killed at a second or before a step, unless it ends first."""
    with tempfile.TemporaryFile() as said, tempfile.TemporaryFile() as counted:
        began = time.monotonic()
        child = os.fork()
        if not child:
            code = 70
            try:
                for number in (1, 2):
                    os.dup2(said.fileno(), number)
                os.environ["WYNER_CACHE_DIR"] = str(out / "cache")
                tf.config.run_functions_eagerly(command.eager)
                count_steps(out, step, counted.fileno())
                words = command.do(given, out)
                code = main([*map(str, words), "--quiet"]) if words else 0
            except BaseException:
                import traceback

                traceback.print_exc()
            finally:
                sys.stdout.flush()
                sys.stderr.flush()
                os._exit(code)
        ended = None
        while ended is None:
            time.sleep(0.005)
            if second is not None and time.monotonic() - began >= second:
                os.kill(child, signal.SIGKILL)
                second = None
            pid, status = os.waitpid(child, os.WNOHANG)
            ended = status if pid else None
        seconds = time.monotonic() - began
        said.seek(0)
        counted.seek(0)
        killed = os.WIFSIGNALED(ended)
        code = -os.WTERMSIG(ended) if killed else os.WEXITSTATUS(ended)
        text = said.read().decode(errors="replace")
        return Ended(code == -signal.SIGKILL, code, seconds, int(counted.read() or 0), text)


# What is looked at.


def files(folder):
    """Files that have their names, by path; none that is being written."""
    found = {}
    for place, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if not UNFINISHED.search(name)]
        found |= {
            str((pathlib.Path(place) / name).relative_to(folder)): pathlib.Path(place) / name
            for name in names
        }
    return found


def unfinished(folder):
    """What killed writers left."""
    return [str(p.relative_to(folder)) for p in folder.rglob("*") if UNFINISHED.search(p.name)]


def _without(values):
    """JSON values without what varies."""
    if isinstance(values, dict):
        kept = {name: _without(each) for name, each in values.items() if name not in VARIES}
        # Keras numbers the models of a process.
        if str(kept.get("name", "")).startswith("wyner_model"):
            kept["name"] = "wyner_model"
        return kept
    return [_without(each) for each in values] if isinstance(values, list) else values


def _hdf5(content):
    found = {}

    def note(name, item):
        if isinstance(item, h5py.Dataset):
            found[name] = (str(item.dtype), item.shape, item[()].tobytes())

    with h5py.File(io.BytesIO(content), "r") as file:
        file.visititems(note)
    return found


def _archive(content):
    found = {}
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        if archive.testzip():
            raise ValueError(f"{archive.testzip()} is damaged")
        for name in archive.namelist():
            found[name] = contents(pathlib.Path(name), archive.read(name))
    return found


def _arrays(content):
    with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
        found = {name: arrays[name] for name in arrays.files}
    return {name: (each.dtype.str, each.tolist()) for name, each in found.items()}


def _picture(content):
    with Image.open(io.BytesIO(content)) as image:
        image.load()
    return content


def _table(content):
    rows = list(csv.reader(io.StringIO(content.decode(), newline="")))
    places = [place for place, name in enumerate(rows[0]) if name not in VARIES]
    return [[row[place] for place in places] for row in rows]


def _parquet(content):
    pyarrow.parquet.read_table(io.BytesIO(content))
    return content


def _page(content):
    if not content.rstrip().endswith(b"</html>"):
        raise ValueError("the page has no end")
    return content


READERS = {
    ".json": lambda content: _without(json.loads(content)),
    ".keras": _archive,
    ".npz": _arrays,
    ".h5": _hdf5,
    ".png": _picture,
    ".csv": _table,
    ".parquet": _parquet,
    ".html": _page,
}


def contents(path, content=None):
    """What a file holds but for what may vary; opened whole."""
    content = path.read_bytes() if content is None else content
    return READERS.get(path.suffix, bytes)(content)


def look(folder):
    """What is wrong with files that have their names, where nothing of them should be half."""
    wrong = []
    for name, path in files(folder).items():
        try:
            contents(path)
        except Exception as error:
            wrong.append(f"{name}: {type(error).__name__}: {error}")
    bundle = folder / "bundle"
    if bundle.exists():
        try:
            manifest, _ = read_sealed(bundle)
            check_contents(bundle, manifest["files"], UNLISTED, whole=True)
        except Exception as error:
            wrong.append(f"bundle: {type(error).__name__}: {error}")
    if (folder / "run").exists():
        try:
            # Its name says that it is finished.
            opened = runs.Run.open(folder / "run")
            opened.examples(), opened.metrics(), runs.read_history(opened.folder)
        except Exception as error:
            wrong.append(f"run: {type(error).__name__}: {error}")
    return wrong


def digests(folder):
    """By file, a digest of what it holds but for what may vary; of a bundle's graphs, of answers.

    TensorFlow and tf2onnx name and order nodes in another way at each call, killed or not.
    """
    text = str(folder)
    found = {
        name: "" if BUILT.match(name) else _digest(repr(contents(path)).replace(text, ""))
        for name, path in files(folder).items()
    }
    if (folder / "bundle").exists():
        with concurrent.futures.ProcessPoolExecutor(1) as pool:
            found["bundle"] = pool.submit(_answers, folder / "bundle").result()
    return found


def _digest(text):
    return hashlib.sha256(text.encode()).hexdigest()


def _answers(bundle):
    """A digest of what a bundle's graphs give; in a process of its own, onnxruntime has threads."""
    opened = Bundle.load(bundle, threads=1)
    rng = np.random.default_rng(0)
    x, y = rng.random((2, 32, 8, 8, 1), np.float32)
    made = (
        *(opened.generate_y(x, seed=0), opened.generate_x(y, seed=0)),
        *opened.generate_pairs(32, seed=0),
        opened.transfer_x(style=x, concept=y, seed=0),
        opened.log_pmi(x, y),
    )
    return _digest(repr([(each.shape, each.tobytes()) for each in made]))


def differences(whole, found):
    """Names of files that differ, or are on one side alone."""
    names = whole.keys() | found.keys()
    return sorted(name for name in names if whole.get(name) != found.get(name))


@dataclasses.dataclass
class Row:
    """A row of the table, and what was wrong."""

    kills: collections.Counter = dataclasses.field(default_factory=collections.Counter)
    ends: int = 0
    files: int = 0
    seconds: float = 0.0
    steps: int = 0
    wrong: list = dataclasses.field(default_factory=list)

    def note(self, wrong):
        """Notes what was wrong, and says it at once."""
        self.wrong += wrong
        for each in wrong:
            print(f"wrong: {each}", file=sys.stderr, flush=True)


def unbroken(command, given, place):
    """How a command ends that nobody kills, and its folder.

    Raises:
        RuntimeError: if it fails.
    """
    out = place / "whole"
    out.mkdir()
    ended = run(command, given, out)
    if ended.code:
        raise RuntimeError(ended.said)
    return ended, out


def broken(command, given, place, whole, row, kills, rng):
    """One run, killed up to so many times, then left to end; how it went is noted in the row."""
    out = place / f"broken-{row.ends}"
    out.mkdir()
    done, left = 0, 1.0
    while True:
        moment = {}
        if done < kills:
            way, share = ("step" if rng.random() < 0.5 else "second"), left * rng.random()
            moment = {way: int(share * row.steps) if way == "step" else share * row.seconds}
        # Killed when all was done but to say so.
        refused = command.once and (out / command.made).exists()
        ended = run(command, given, out, **moment)
        row.note([f"after {moment}: {each}" for each in look(out)])
        if not ended.killed:
            break
        done, left = done + 1, max(left - share, LEAST)
        row.kills[way] += 1
    row.ends += 1
    if ended.code != (2 if refused else 0):
        row.note([f"exit code {ended.code}: {ended.said.strip()[-300:]}"])
        return done
    row.note([f"differs: {name}" for name in differences(whole, digests(out))])
    row.note([f"left: {name}" for name in unfinished(out)])
    shutil.rmtree(out)
    return done


def measure(name, given, place, kills, seed):
    """The row of a command, killed so many times; what it makes stays where others take it from."""
    command, rng, row = COMMANDS[name], random.Random(f"{seed} {name}"), Row()
    place.mkdir()
    ended, out = unbroken(command, given, place)
    row.seconds, row.steps = ended.seconds, ended.steps
    whole = digests(out)
    row.files = len(whole)
    if name in ("train", "export"):
        shutil.copytree(out / command.made, given / command.made)
    tries = 0
    while row.kills.total() < kills and tries < 3 * kills + 3:
        tries += 1
        broken(command, given, place, whole, row, min(MOST, kills - row.kills.total()), rng)
    return row


def table(kills=KILLS, seed=SEED, *names):
    """Print the table; 1 if anything was wrong."""
    recipes.default = tiny_recipe
    # As of a quick run; a judge takes longer than all the rest.
    evaluation.judges_for = functools.partial(evaluation.judges_for, epochs=2)
    wrong, made = False, ("train", "export")
    print("| command | kills: at a time | before a step | ends | files compared | wrong |")
    print("|---|---|---|---|---|---|", flush=True)
    with tempfile.TemporaryDirectory() as root:
        given = pathlib.Path(root) / "given"
        given.mkdir()
        write_data(given)
        for number, (name, command) in enumerate(sorted(
            COMMANDS.items(), key=lambda item: item[0] not in made
        )):  # fmt: skip
            asked = not names or name in names
            if not (asked or name in made):
                continue
            share = round(int(kills) * command.share) if asked else 0
            row = measure(name, given, pathlib.Path(root) / str(number), share, seed)
            print(f"| {name} | {row.kills['second']} | {row.kills['step']} | {row.ends} | "
                  f"{row.files} | {len(row.wrong)} |", flush=True)  # fmt: skip
            wrong |= bool(row.wrong)
    return int(wrong)


if __name__ == "__main__":
    sys.exit(table(*sys.argv[1:]))
