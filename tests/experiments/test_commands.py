import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    "module",
    ["experiments.figures", "experiments.halves", "experiments.singles", "experiments.theory"],
)
def test_help_needs_neither_tensorflow_nor_keras(module):
    code = (
        "import runpy, sys\n"
        f"sys.argv = ['program', '--help']\n"
        f"try:\n    runpy.run_module({module!r}, run_name='__main__')\n"
        "finally:\n    print('LOADED', *{'tensorflow', 'keras'} & set(sys.modules))"
    )
    words = [sys.executable, "-c", code]
    result = subprocess.run(words, capture_output=True, text=True, cwd=ROOT, check=False)
    assert result.returncode == 0, result.stderr
    help_text, loaded = result.stdout.split("LOADED")
    assert loaded.split() == []
    assert f"usage: python -m {module}" in help_text
    assert "--seed" in help_text
    assert "--json" in help_text
