import importlib.util
import io
import re
import tarfile
import tomllib
from pathlib import Path

import pytest
import yaml

from wyner_keras.cli import main

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


# Extras for who works on the project itself.
WORKING = {"dev", "docs"}


def script(name):
    """A script of release/, which is no package."""
    spec = importlib.util.spec_from_file_location(name, ROOT / "release" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def make_archive(path, files, seconds):
    with tarfile.open(path, "w:gz") as archive:
        for name, content in files:
            entry = tarfile.TarInfo(name)
            entry.size, entry.mtime, entry.uname = len(content), seconds, f"user{seconds}"
            archive.addfile(entry, io.BytesIO(content))


def test_a_repacked_archive_depends_on_its_files_alone(tmp_path):
    build, files = script("build"), [("a-1/x.py", b"1\n"), ("a-1/b/y.py", b"")]
    made = []
    for name, of, seconds in (("one", files, 5), ("other", files[::-1], 99)):
        path = tmp_path / f"{name}.tar.gz"
        make_archive(path, of, seconds)
        build.repack(path, 1000)
        made.append(path.read_bytes())
    assert made[0] == made[1]
    with tarfile.open(tmp_path / "one.tar.gz") as archive:
        assert {each.name: archive.extractfile(each).read() for each in archive} == dict(files)
        assert {(each.mtime, each.uid, each.uname) for each in archive} == {(1000, 0, "")}


def test_strangers_in_an_sdist_are_found():
    good = ("pyproject.toml", "CITATION.cff", "wyner_keras/cli/doctor.py", "serving/py.typed")
    bad = ("runs/a/model.keras", "docs/web.png", "serving/model.onnx", "tests/conftest.py", "x.py")
    names = [f"wyner_keras-0.1.0/{name}" for name in (*good, *bad)]
    assert script("build").strangers(names) == names[len(good) :]


def test_every_extra_is_tried():
    assert set(script("smoke").CHECKS) == {"base", *PROJECT["optional-dependencies"]} - WORKING
    makefile = (ROOT / "Makefile").read_text()
    tried = re.search(r"smoke\.py dist (base [a-z ]+) \\", makefile)[1].split()
    assert set(tried) == set(script("smoke").CHECKS)


def test_one_version_and_one_licence():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert (citation["version"], citation["license"]) == (PROJECT["version"], PROJECT["license"])
    assert citation["authors"] == PROJECT["authors"]
    assert f"## [{PROJECT['version']}]" in (ROOT / "CHANGELOG.md").read_text()


def test_addresses_are_those_of_the_bibliography():
    """None is made up: the project has no public one yet."""
    entries = (ROOT / "docs/paper.bib").read_text()
    known = {f"https://doi.org/{doi}" for doi in re.findall(r"doi\s*= \{(.*)\}", entries)}
    assert PROJECT["urls"] and set(PROJECT["urls"].values()) <= known
    # What package indexes take.
    assert all(len(label) <= 32 for label in PROJECT["urls"])


def test_the_conda_recipe_says_what_the_project_says():
    text = (ROOT / "release/conda/recipe.yaml").read_text()
    recipe = yaml.safe_load(text)
    assert recipe["schema_version"] == 1
    assert recipe["context"]["version"] == PROJECT["version"]
    assert recipe["package"] == {"name": PROJECT["name"], "version": "${{ version }}"}
    assert recipe["about"]["summary"] == PROJECT["description"]
    assert recipe["about"]["license"] == PROJECT["license"]
    assert [recipe["about"]["license_file"]] == PROJECT["license-files"]
    scripts = [f"{name} = {aim}" for name, aim in PROJECT["scripts"].items()]
    assert recipe["build"]["python"]["entry_points"] == scripts
    python = f"python{PROJECT['requires-python']}"
    asked = recipe["requirements"]
    needed = [python, *PROJECT["dependencies"]]
    assert sorted(each.replace(" ", "") for each in asked["run"]) == sorted(needed)
    (backend,) = tomllib.loads((ROOT / "pyproject.toml").read_text())["build-system"]["requires"]
    assert [each.replace(" ", "") for each in asked["host"]] == [python, "pip", backend]
    # What `make dist` writes, where the recipe looks for it.
    path = f"../../dist/{PROJECT['name'].replace('-', '_')}-${{{{ version }}}}.tar.gz"
    assert recipe["source"]["path"] == path


def test_ci_runs_ci_run_alone():
    (job,) = yaml.safe_load((ROOT / ".github/workflows/ci.yml").read_text())["jobs"].values()
    assert [step["run"] for step in job["steps"] if "run" in step] == ["bash .ci/run"]
    supported = [text.split()[-1] for text in PROJECT["classifiers"] if "3." in text]
    assert job["strategy"]["matrix"]["python"] == supported


def test_hooks_are_the_lint_of_make():
    (repo,) = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())["repos"]
    hooks = " ".join(hook["entry"] for hook in repo["hooks"])
    assert repo["repo"] == "local"
    for line in re.findall(r"\$\(BIN\)/(ruff .*|codespell)", (ROOT / "Makefile").read_text()):
        assert f".venv/bin/{line}" in hooks


@pytest.mark.parametrize("page", ["CONTRIBUTING", "SECURITY", "CODE_OF_CONDUCT", "docs/commands"])
def test_pages_refer_to_what_there_is(page):
    path = ROOT / f"{page}.md"
    links = re.findall(r"\]\(([^)#]+)", path.read_text())
    for link in links:
        assert link.startswith("https://") or (path.parent / link).exists(), link
    for target in re.findall(r"^    make ([a-z-]+)", path.read_text(), re.MULTILINE):
        assert re.search(rf"^{target}:", (ROOT / "Makefile").read_text(), re.MULTILINE), target


def test_commands_page_lists_every_command(capsys):
    with pytest.raises(SystemExit):
        main(["--help"])
    named = re.findall(r"^    ([a-z]+)  ", capsys.readouterr().out, re.MULTILINE)
    page = (ROOT / "docs/commands.md").read_text()
    assert re.findall(r"^\| `wyner ([a-z]+)`", page, re.MULTILINE) == named
