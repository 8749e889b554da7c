import json
from pathlib import Path

import pytest

from wyner_keras.files import to_json, write_json


def test_numbers_that_json_has_not_become_null() -> None:
    values = {"a": [1.5, float("nan")], 2: (float("inf"), "ü")}
    assert json.loads(to_json(values)) == {"a": [1.5, None], "2": [None, "ü"]}


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = write_json(tmp_path / "a.json", {"kept": 1})
    with pytest.raises(TypeError):
        write_json(path, {"bad": object()})
    assert json.loads(path.read_text()) == {"kept": 1}
    assert list(tmp_path.iterdir()) == [path]
