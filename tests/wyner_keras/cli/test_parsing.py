import importlib
import json
import re
import shlex
import shutil
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from docs.site.commands import parsers
from wyner_keras import runs
from wyner_keras.cli import main
from wyner_keras.cli.options import Result, kinds
from wyner_keras.runs import label_map


def test_help_needs_neither_tensorflow_nor_keras():
    commands = ["", "train", "evaluate", "generate", "transfer", "export", "doctor"]
    code = (
        "import sys\nfrom wyner_keras.cli import main\n"
        f"for command in {commands}:\n"
        "    try:\n        main([*command.split(), '--help'])\n"
        "    except SystemExit:\n        print('NEXT')\n"
        "print(*{'tensorflow', 'keras', 'matplotlib'} & set(sys.modules))"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    *texts, loaded = result.stdout.split("NEXT")
    assert loaded.split() == []
    for command, text in zip(commands, texts, strict=True):
        assert f"usage: wyner {command}" in text
        assert not command or "--json" in text


def test_version(capsys):
    with pytest.raises(SystemExit) as stopped:
        main(["--version"])
    assert stopped.value.code == 0
    assert capsys.readouterr().out == f"wyner {runs.version()}\n"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("add-one", [1, 2, 3, 4, 5, 6, 7, 8, 9, 0]),
        ("3n+2", [2, 5, 8, 1, 4, 7, 0, 3, 6, 9]),
        ("n", [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]),
        ("same", [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]),
        ("-n", [0, 9, 8, 7, 6, 5, 4, 3, 2, 1]),
        ("0n+4", [4] * 10),
        ("n - 1", [9, 0, 1, 2, 3, 4, 5, 6, 7, 8]),
    ],
)
def test_label_maps_by_expression(text, expected):
    assert list(label_map(text, range(10)).values()) == expected


def test_label_maps_by_pairs():
    assert label_map("0:1, 1:2,2:0", (0, 1, 2)) == {0: 1, 1: 2, 2: 0}
    assert label_map('{"0": 1, "1": 0}', (0, 1)) == {0: 1, 1: 0}


def test_label_maps_of_texts():
    assert label_map("same", ("ant", "cat")) == {"ant": "ant", "cat": "cat"}
    assert label_map("cat:1,ant:0", ("ant", "cat"), (0, 1)) == {"cat": 1, "ant": 0}
    assert label_map("0: old age,1:b", (0, 1), ("b", "old age")) == {0: "old age", 1: "b"}
    with pytest.raises(ValueError, match=r"should be same, or pairs such as cat:dog.*Received: 'n"):
        label_map("n+1", ("ant", "cat"))


@pytest.mark.parametrize(
    "text",
    [
        *("", "add-two", "0:1,0:2", "0:-1", "{}", "[1]", '{"a": 1}', "1:"),
        # What `int` would cut or read otherwise than it is written.
        *('{"0": 1.5}', '{"0": 1.0}', '{"0": true}', '{"0": null}', '{"0": [1]}', '{"0": 1e999}'),
        *('{"0.5": 1}', "0:1.5", "1_0:1", "0:1_0", "0:\u0661", '{"0": "1.5"}', '{"0": -1}'),
    ],
)
def test_other_label_maps_are_refused(text):
    with pytest.raises(ValueError, match=r"a label map should be add-one, .* Received: "):
        label_map(text, (0, 1))


def test_a_long_label_map_is_not_repeated_in_its_error():
    text = ",".join(f"{label}:{label}.5" for label in range(5000))
    with pytest.raises(ValueError, match=r"Received: '0:0\.5,1:1\.5,") as error:
        label_map(text, range(5000))
    assert len(str(error.value)) < 400


@pytest.fixture
def help_of(capsys, monkeypatch):
    """The help of a command, or of them all, on a terminal of 80 columns."""
    monkeypatch.setenv("COLUMNS", "80")

    def read(*command):
        with pytest.raises(SystemExit) as stopped:
            main([*command, "--help"])
        assert stopped.value.code == 0
        return capsys.readouterr().out

    return read


COMMANDS = (
    *("train", "evaluate", "report", "generate", "transfer", "rank", "export", "card", "bulk"),
    *("doctor", "completion"),
)


def test_help_fits_a_screen_and_names_every_command(help_of):
    lines = help_of().splitlines()
    assert len(lines) <= 24
    assert max(map(len, lines)) <= 80
    named = [line.split()[0] for line in lines if re.match(r"    \w", line)]
    assert named == list(COMMANDS)


@pytest.mark.parametrize("command", COMMANDS)
def test_examples_in_helps_can_be_typed(help_of, monkeypatch, command):
    _, _, examples = help_of(command).rpartition("example")
    lines = re.findall(rf"^  (wyner {command} .*|wyner {command})$", examples, re.MULTILINE)
    assert lines
    module = importlib.import_module(f"wyner_keras.cli.{command}")
    ran = []
    monkeypatch.setattr(module, "run", lambda options: ran.append(options) or Result("", {}))
    for line in lines:
        typed = re.split(r" {2,}| >", line)[0]
        assert main(shlex.split(typed)[1:]) == 0
    assert len(ran) == len(lines)


def test_a_quick_run_is_of_no_other_length(capsys):
    with pytest.raises(SystemExit, match="2"):
        main(["train", "--out", "run", "--quick", "--longer", "2"])
    assert "--longer: not allowed with argument --quick" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        (["trian", "--out", "run"], "Did you mean train?"),
        (["train", "--ouut", "run"], "Did you mean --out?"),
        (["train", "--out", "run", "--lnger=2"], "Did you mean --longer?"),
        (["generate", "run", "--from", "x", "--out", "a", "--smaples", "3"], "mean --samples?"),
        (["export", "run", "--verfy", "b", "--sing", "k"], "Did you mean --sign or --verify?"),
        (["doctor", "--jsn"], "Did you mean --json?"),
    ],
)
def test_a_misspelt_word_is_told_its_neighbour(capsys, words, hint):
    with pytest.raises(SystemExit) as stopped:
        main(words)
    assert stopped.value.code == 2
    assert capsys.readouterr().err.rstrip().endswith(hint)


@pytest.mark.parametrize(
    "words", [[], ["xyzzy"], ["train", "--out", "run", "--qqq"], ["train", "--data"]]
)
def test_a_word_like_no_other_gets_no_guess(capsys, words):
    with pytest.raises(SystemExit) as stopped:
        main(words)
    assert stopped.value.code == 2
    assert "Did you mean" not in capsys.readouterr().err


BASH = """
source "$1"; shift
COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _wyner; echo "${COMPREPLY[*]}"
"""


@pytest.mark.skipif(shutil.which("bash") is None, reason="bash is not installed")
@pytest.mark.parametrize(
    ("typed", "completed"),
    [
        (["tr"], "train transfer"),
        (["--ver"], "--version"),
        (["generate", "--from", ""], "x y prior"),
        (["generate", "run", "--from", "p"], "prior"),
        (["generate", "run", "--sam"], "--samples"),
        (["completion", ""], "bash zsh fish"),
        (["export", "ru"], ""),  # a file, which bash completes by itself
    ],
)
def test_bash_completes(capsys, tmp_path, typed, completed):
    assert main(["completion", "bash"]) == 0
    (tmp_path / "script").write_text(capsys.readouterr().out)
    words = ["bash", "-c", BASH, "bash", tmp_path / "script", "wyner", *typed]
    done = subprocess.run(words, capture_output=True, text=True)
    assert (done.stdout.strip(), done.stderr) == (completed, "")


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_has_every_command_and_option(capsys, shell):
    assert main(["completion", shell, "--json"]) == 0
    script = json.loads(capsys.readouterr().out)["script"]
    for name in COMMANDS:
        assert re.search(rf"\b{name}\b", script)
    for parser in parsers().values():
        for option in parser._option_string_actions:
            named = f"-l {option[2:]} " if option.startswith("--") else f"-s {option[1:]} "
            assert (named if shell == "fish" else option) in script


@pytest.mark.parametrize("command", ["generate", "transfer", "train"])
def test_help_names_what_becomes_of_files(capsys, command):
    with pytest.raises(SystemExit) as stopped:
        main([command, "--help"])
    assert stopped.value.code == 0
    words = " ".join(capsys.readouterr().out.split())
    for suffix in (".png", ".jpg", ".bmp", ".webp", ".tif", ".gif", ".csv", ".npy"):
        assert suffix in words
    for said in ("8 bits a channel, grey ones also of 16", "EXIF orientation", "a white ground"):
        assert said in words


@given(st.text(alphabet='n0123456789+-:,{}" *', max_size=12) | st.text(max_size=12))
def test_any_text_is_a_label_map_or_refused_clearly(text):
    try:
        mapping = label_map(text, (0, 1, 2))
    except ValueError as error:
        assert "Received: " in str(error)
    else:
        assert all(
            isinstance(label, int) and label >= 0 for pair in mapping.items() for label in pair
        )


def test_names_of_columns_may_hold_commas():
    found = kinds("x.dose (mg, daily)=count, y = real")
    assert found == {"x.dose (mg, daily)": "count", "y": "real"}


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--seed", "-1"], "expected one argument|whole number"),
        (["--seed", "1.5"], "should be a whole number of 0 or more. Received: '1.5'"),
        (["--longer", "0"], "should be a finite number above 0. Received: '0'"),
        (["--longer", "much"], "should be a finite number above 0. Received: 'much'"),
        (["--held-out", "1"], "should be below 1. Received: '1'"),
        (["--kinds", "x.age"], "should be column=kind, .* Received: 'x.age'"),
        (["--kinds", "x.age=count,"], "should be column=kind, .* Received: 'x.age=count,'"),
        (["--kinds", "x.age="], "should be column=kind, .* Received: 'x.age='"),
        (["--map", "sideways"], "a label map should be"),
        (["--map", "absent.json"], "No such file"),
    ],
)
def test_malformed_options_are_refused_by_the_parser(capsys, tmp_path, words, message):
    with pytest.raises(SystemExit) as stopped:
        main(["train", "--data", "digits", "--out", str(tmp_path / "run"), *words])
    assert stopped.value.code == 2
    assert re.search(message, capsys.readouterr().err)
