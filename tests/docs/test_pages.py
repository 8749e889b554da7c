"""What the pages say is there: blocks run, commands parse, links and names lead somewhere."""

import ast
import dataclasses
import inspect
import json
import os
import re
import shlex
import shutil
import subprocess
import sys

import numpy as np
import pytest

import experiments.theory.base_model
import wyner_export.manifest
import wyner_keras as wk
from docs.site import commands, links, names, notebook, rooms, schema
from wyner_keras import losses
from wyner_keras.evaluation.report import Figure, Report

ROOT = links.ROOT
PAGES = links.pages()
# These pages have tests of their own.
ELSEWHERE = {"docs/howto.md", "docs/readers.md", *links.ELSEWHERE} - {"README.md"}
BLOCK = re.compile(r"^( *)```(\w+)\n(.*?)^\1```$", re.MULTILINE | re.DOTALL)


def blocks(page, language):
    text = (ROOT / page).read_text(encoding="utf-8")
    return [found[2] for found in BLOCK.findall(text) if found[1] == language]


# Python


@pytest.fixture(scope="module")
def scope(tiny):
    """What blocks are given: pairs, a model of them, and parts of both."""
    rng = np.random.default_rng(0)
    shade = rng.random((60, 1, 1, 1), dtype="float32")
    x, y = (0.5 * shade + 0.5 * rng.random((60, 8, 8, 1), dtype="float32") for _ in "xy")
    pairs = wk.Pairs(x, y)
    train, held_out = pairs.split(seed=0)
    history = {"codec": {"loss": [1.0]}, "joint": {"loss": [2.0, 1.0]}}
    recipe = wk.recipes.default(pairs.facts())
    trained = wk.Trained(tiny, train, recipe, history, shared_nats=0.5, found={"kinds": 3})
    made = {"x": x, "y": y, "pairs": pairs, "train": train, "held_out": held_out}
    return {**made, "trained": trained, "model": tiny, "wk": wk, "np": np}


@pytest.fixture
def standing_in(monkeypatch, scope, bundle, tmp_path):
    """What takes minutes looks at its arguments alone; each has tests of its own."""

    def stand(module, name, answer):
        signature = inspect.signature(getattr(module, name))

        def stand_in(*arguments, **named):
            bound = signature.bind(*arguments, **named)
            return answer(bound.arguments)

        monkeypatch.setattr(module, name, stand_in)

    def train(asked):
        pairs, recipe = asked["pairs"], asked.get("recipe")
        alike = pairs.modalities[0].shape == scope["pairs"].modalities[0].shape
        if recipe is None and alike:
            return scope["trained"]
        recipe = recipe or wk.recipes.default(pairs.facts())
        small = {"hidden": (8,)} if alike else {"hidden": (8,), "flow_steps": 0}
        sides = {name: dataclasses.replace(side, **small) for name, side in recipe.sides.items()}
        model = build(pairs, dataclasses.replace(recipe, sides=sides))
        return scope["trained"] if alike else wk.Trained(model, pairs, recipe)

    report = Report(figures={"partner_nats": Figure(1.0, 2.0)}, counts={}, seed=0)
    page = type("Page", (), {"write": lambda self, path: None})()
    stand(wk, "train", train)
    stand(wk, "evaluate", lambda asked: report)
    stand(wk, "report", lambda asked: page)
    stand(experiments.theory.base_model, "trade_off_curve", lambda asked: [Point])
    monkeypatch.chdir(tmp_path)
    shutil.copytree(bundle, "bundle")


class Point:
    information = 1.0


def build(pairs, recipe):
    """The model and the stages of a recipe, untrained: which refuses what does not fit."""
    modalities = dict(zip("xy", pairs.modalities, strict=True))
    model = wk.WynerModel(
        recipe.z,
        modalities,
        codecs={name: each.codec(recipe.codecs[name], 0) for name, each in modalities.items()},
        settings=recipe.sides,
        seed=recipe.seed,
    )
    for stage in recipe.stages:
        if not isinstance(stage.loss, losses.Matching) or all(s.flow for s in model.sides):
            wk.Stage(model, stage.loss)
    return model


# Of what is not installed here; its names are looked at.
NEEDS = {"docs/bulk.md": "ray"}
RUN = [page for page in PAGES if page not in ELSEWHERE and blocks(page, "python")]


@pytest.mark.parametrize("page", RUN)
def test_blocks_run(page, scope, standing_in, capsys):
    given = {"__name__": "page", **scope}
    for number, block in enumerate(blocks(page, "python")):
        if page == "docs/shipping.md":
            given.setdefault("bundle", tiny_opened())
        if page in NEEDS:
            ast.parse(block)
            assert "map_rows" in names.public("wyner_serving.ray")
            continue
        if page == "docs/security.md":
            block = block.replace(', public_key="KEY.pub"', "")
            given["Bundle"] = type(tiny_opened())
        exec(compile(block, f"{page} {number}", "exec"), given)


def tiny_opened():
    from wyner_serving import Bundle

    return Bundle.load("bundle")


# Commands

LINE = re.compile(
    r"^(?: {4}|\t)?(?:\$ )?((?:[A-Z_]+=\S+ )*(?:wyner|make|python)\b.*|for .*; do .*)$"
)
INLINE = re.compile(r"`((?:wyner|make|python) [^`]+)`")


def written(page):
    """Command lines of a page, and whether each is whole: those in running text may not be."""
    found, text = [], (ROOT / page).read_text(encoding="utf-8")
    for line, is_prose in links.prose(text):
        if is_prose and line.startswith("|"):
            found += [(each, page == "docs/tasks.md") for each in INLINE.findall(line)]
        elif (line.startswith("    ") or not is_prose) and LINE.match(line):
            found.append((LINE.match(line)[1], True))
        elif is_prose:
            found += [(each, False) for each in INLINE.findall(line)]
    return found


def single(line):
    """The commands of a line of the shell."""
    for part in re.split(r";| && | \| ", line.replace("$seed", "0")):
        words = shlex.split(part.replace("…", "1"), comments=True)
        while words and (words[0] == "do" or re.match(r"[A-Z_]+=", words[0])):
            words = words[1:]
        if words:
            yield words[: words.index(">")] if ">" in words else words


LINES = [(page, line, whole) for page in PAGES for line, whole in written(page)]


def test_there_are_commands():
    assert len(LINES) > 100
    assert {words[0] for _, line, _ in LINES for words in single(line)} >= {
        "wyner",
        "make",
        "python",
    }


@pytest.mark.parametrize("page", sorted({page for page, *_ in LINES}))
def test_commands_are_there(page, capsys):
    for of, line, whole in LINES:
        for words in single(line) if of == page else ():
            if words[0] == "make":
                asked = {word for word in words[1:] if "=" not in word}
                assert asked <= TARGETS, line
            elif words[0] == "python":
                check_script(words[1:], line)
            elif words[0] == "wyner" and not re.search("COMMAND|error:", line):
                check_command(words[1:], line, whole)


TARGETS = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))


def check_command(words, line, whole):
    """The parser takes the line; of a mention it knows the options."""
    if words in ([], ["--help"]) or "--ouut" in words:  # a misspelt word, and what it is answered
        return
    parser = commands.parsers()[f"wyner {words[0]}"]
    if whole:
        try:
            parser.parse_args(words[1:])
        except SystemExit as error:
            assert error.code == 0, line
    for word in words[1:]:
        known = not word.startswith("--") or word.partition("=")[0] in parser._option_string_actions
        assert known, line


def check_script(words, line):
    """The file is there, and so are its options."""
    if words[:1] == ["-m"]:
        name = words[1].replace(".", "/")
        if words[1] in ("pytest", "venv", "http.server"):
            return
        name = re.sub("^wyner_serving", "serving", re.sub("^wyner_export", "export", name))
        path, rest = ROOT / name, words[2:]
        files = list(path.glob("*.py")) if path.is_dir() else [path.with_suffix(".py")]
    else:
        files, rest = [ROOT / words[0]], words[1:]
    text = "".join(file.read_text(encoding="utf-8") for file in files)
    if "shared.add_common" in text:  # options of all commands
        text += (ROOT / "wyner_keras/cli/options.py").read_text(encoding="utf-8")
    for word in rest:
        if word.startswith("--"):
            assert f'"{word.partition("=")[0]}"' in text, line


# Links, names, drawings


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(page):
    links.each_link(
        (ROOT / page).read_text(encoding="utf-8"), lambda target: links.in_site(page, target)
    )


def test_equations_stand_beside_code():
    found = [path for path, name in links.targets("docs/maths.md") if name and path.endswith(".py")]
    assert len(found) > 60
    assert links.line_of("docs/site/links.py", "ROOT") > 1
    with pytest.raises(ValueError, match=r"Joint\.there"):
        links.line_of("wyner_keras/losses/joint.py", "Joint.there")


def test_the_paper_lists_what_its_bibliography_has():
    page, entries = ((ROOT / "docs" / name).read_text() for name in ("paper.md", "paper.bib"))
    listed = dict(re.findall(r"^- `(\w+)`: (.*(?:\n  .*)*)", page, re.MULTILINE))
    found = dict(re.findall(r"^@\w+\{(\w+),\n(.*?)^\}", entries, re.MULTILINE | re.DOTALL))
    assert list(listed) == list(found)
    for key, entry in found.items():
        fields = dict(re.findall(r"(\w+)\s*= \{(.*)\}", entry))
        family = fields["author"].partition(",")[0]
        assert family in listed[key] and fields.get("year", "") in listed[key], key


def test_figures_that_are_told_again_are_those_of_the_results():
    """Halves of digits, where a direct model is ahead."""
    text = (ROOT / "docs/results.md").read_text(encoding="utf-8")
    table = text.partition("### Halves of digits")[2]
    own, direct = (
        float(re.search(rf"^\| {name}.*? \| \D*(0\.\d+)", table, re.MULTILINE)[1])
        for name in ("W-model", "CVAE")
    )
    for page, said in {
        "docs/index.md": f"completes {direct:.2f} of them rightly, this library {own:.2f}\n",
        "docs/maths.md": f"halves of digits | {own:.2f}, where a direct model reaches {direct:.2f}",
        "docs/paper.md": f"accuracy of {direct:.3f} beside {own:.3f}:",
        "docs/coming-from.md": f"JMVAE completes better, 0.947 against {own:.3f}, while",
    }.items():
        assert said in (ROOT / page).read_text(encoding="utf-8"), page


def test_epochs_that_the_results_tell_are_those_of_the_recipe():
    """Of MNIST's 50,000 pairs with labels."""
    facts = wk.data.Facts(
        pairs=50_000,
        rows=(50_000, 50_000),
        modalities=(wk.Image(shape=(28, 28, 1)),) * 2,
        same_store=True,
        classes=10,
    )
    recipe = wk.recipes.default(facts)
    whole = sum(stage.epochs for stage in recipe.stages)
    text = (ROOT / "docs/results.md").read_text(encoding="utf-8").replace("\n", " ")
    assert f"{whole} epochs for each, as many as all stages of the W-model have together" in text
    assert f"its flow alone wants {recipe.stage('flow').epochs}." in text


def test_lists_are_lists_to_mkdocs_too():
    """Within lists by four spaces; after a paragraph of an item a line free; no code behind one."""
    for page in PAGES:
        before, free, listed, wide = "", True, False, False
        for line, is_prose in links.prose((ROOT / page).read_text(encoding="utf-8")):
            if not is_prose or not line.strip():
                before, free = "", True
                continue
            item = re.match(r"( *)(?:[-*]|\d+\.) ", line)
            assert not item or len(item[1]) % 4 == 0, (page, line)
            paragraph = before.startswith("    ") and not re.match(r" *(?:[-*]|\d+\.) ", before)
            assert not (item and not item[1] and paragraph and wide), (page, line)
            assert not (listed and free and LINE.match(line)), (page, line)
            listed = bool(item) or (listed and line.startswith("  "))
            # Whether the paragraph that this line is of begins with four spaces.
            wide = line.startswith("    ") and not item if free else bool(before) and wide
            before, free = line, False


def test_every_public_name_is_on_a_page():
    marks = {
        module
        for page in PAGES
        for module in re.findall(r"<!-- site: api (\S+) -->", (ROOT / page).read_text())
    }
    assert marks == set(names.MODULES)
    assert set(names.public("wyner_keras")) | {
        module.split(".")[1] for module in names.MODULES if module.startswith("wyner_keras.")
    } >= set(wk.__all__)
    for module in names.MODULES:
        assert f"::: {module.split('.')[0]}" in names.reference(module)


def test_arrows_run_downwards():
    found = rooms.arrows(later=True)
    assert not rooms.arrows()["wyner_serving"]
    assert not any("experiments" in aims for aims in found.values())
    assert set(found) == set(rooms._LINES)
    assert rooms.levels(rooms.down()[0])["wyner_serving"] == 0
    drawn = rooms.drawing()
    assert drawn.count("<rect") == len(found)
    with pytest.raises(ValueError, match="circle"):
        rooms.levels({"a": {"b"}, "b": {"a"}})


def test_a_notebook_is_a_page_of_its_words_code_and_outputs():
    picture = {"output_type": "display_data", "data": {"image/png": "iVBO\nRw0K\n"}}
    said = {"output_type": "stream", "name": "stdout", "text": ["one\n", "two\n"]}
    value = {"output_type": "execute_result", "data": {"text/plain": ["3"]}}
    cells = [
        {"cell_type": "markdown", "source": ["# Why?\n", "So."]},
        {"cell_type": "code", "source": ["run()"], "outputs": [said, picture, value]},
        {"cell_type": "code", "source": ["x = 1"], "outputs": []},
    ]
    assert notebook.page(json.dumps({"cells": cells})).split("\n\n") == [
        "# Why?\nSo.",
        "```python\nrun()\n```",
        "```text\none\ntwo\n```",
        "![what this cell draws](data:image/png;base64,iVBORw0K)",
        "```text\n3\n```",
        "```python\nx = 1\n```",
    ]


def test_the_schema_is_the_one_that_export_checks_by():
    assert schema.schema() == wyner_export.manifest.SCHEMA


def test_the_page_of_commands_has_every_option():
    page = commands.page()
    for name, parser in commands.parsers().items():
        assert f"## {name}\n" in page
        for option in parser._option_string_actions:
            assert option in ("-h", "--help") or re.search(f"(<code>|, ){option}", page)


def test_settings_have_the_defaults_that_their_page_says():
    text = (ROOT / "docs/reference/settings.md").read_text(encoding="utf-8")
    loss, said = None, {}
    rows = r"^\| ?(?:`(\w+)` )?\| `(\w+)` \| ([\d.]+|False|True|None) \|"
    for name, field, default in re.findall(rows, text, re.MULTILINE):
        loss = name or loss
        said[loss, field] = ast.literal_eval(default)
    assert said == {
        (name, field.name): field.default
        for name in losses.__all__
        if dataclasses.is_dataclass(getattr(losses, name))
        for field in dataclasses.fields(getattr(losses, name))
    }
    for settings in (wk.StageSettings, wk.SideSettings, wk.CodecSettings, wk.Recipe):
        for each in dataclasses.fields(settings):
            assert f"`{each.name}`" in text or each.name == "name", each.name


# Diffs

DIFFS = blocks("docs/architecture.md", "diff")


@pytest.fixture(scope="module")
def changed(tmp_path_factory):
    """The packages with every diff of the page applied."""
    folder = tmp_path_factory.mktemp("changed")
    ignored = shutil.ignore_patterns("__pycache__", "node_modules", "kserve", "web")
    for name in ("wyner_keras", "serving", "export"):
        shutil.copytree(ROOT / name, folder / name, ignore=ignored)
    (folder / "diff").write_text("\n".join(DIFFS), encoding="utf-8")
    command = ["git", "apply", "--verbose", "diff"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return folder


def test_diffs_apply(changed):
    touched = re.findall(r"^\+\+\+ b/(\S+)", "\n".join(DIFFS), re.MULTILINE)
    assert len(DIFFS) == 5
    for name in touched:
        new, old = (changed / name).read_text(encoding="utf-8"), ROOT / name
        assert not old.exists() or new != old.read_text(encoding="utf-8")
        compile(new, name, "exec")


USE = """
import numpy as np, pathlib, sys, tiny_bundle, wyner_export
import wyner_keras as wk
from wyner_keras.families import Switches, latent_of
from wyner_keras.runs import label_map
from wyner_serving import Bundle
rng = np.random.default_rng(0)
z = Switches(n=3)
assert latent_of(z.describe()) == z
model = tiny_bundle.tiny_model(z=z, flow_steps=0)
x, y = (rng.random((40, 8, 8, 1), dtype="float32") for _ in "xy")
voxels = rng.random((40, 4, 4, 4, 1), dtype="float32")
pairs = wk.Pairs(voxels, y)
trained = wk.train(pairs, wk.recipes.default(pairs.facts()).scaled(0.01), verbose=0)
assert trained.model.generate_x(y[:2], seed=0).shape == (2, 4, 4, 4, 1)
assert label_map("minus-one", range(10))[0] == 9
assert wk.evaluate(model, wk.Pairs(x, y), verbose=False)["offset_y"] > 0
path = wyner_export.write_bundle(model, pathlib.Path(sys.argv[1]))
assert Bundle.load(path).latent_entries["z"]["family"] == "switches"
weights = np.load(path / "weights.npz").files
assert len(weights) == sum(len(side.weights) for side in model.sides)
"""


@pytest.mark.slow
def test_what_diffs_add_works(changed, tmp_path):
    (changed / "packages").mkdir()
    (changed / "packages/wyner_export").symlink_to("../export")
    (changed / "packages/wyner_serving").symlink_to("../serving")
    places = [changed, changed / "packages", ROOT / "tests/tools"]
    done = subprocess.run(
        [sys.executable, "-c", USE, tmp_path / "bundle"],
        cwd=changed,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(map(str, places))},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
