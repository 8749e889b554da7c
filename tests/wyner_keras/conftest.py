import pytest

from wyner_keras.cli import main


@pytest.fixture
def call(capsys):
    """Carries out a `wyner` command in this process: its exit status, output and messages."""

    def carry_out(*words):
        code = main([str(word) for word in words])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return carry_out


@pytest.fixture
def refused(call):
    """The one line that a failing command writes."""

    def message(*words, code=2):
        found, out, err = call(*words)
        assert (found, out) == (code, "")
        assert "Traceback" not in err
        (line,) = [line for line in err.splitlines() if line.startswith("wyner: error: ")]
        return line

    return message
