"""How a command ends: by a signal that nothing heeds, and where nobody takes its result."""

import argparse
import os
import signal
import subprocess
import sys
import time

import pytest

from wyner_keras import cli


def lost():
    """SIGTERM comes where what it raises is thrown away."""
    with pytest.raises(KeyboardInterrupt):
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(5)


def execute(run):
    return cli.execute(argparse.Namespace(run=run, quiet=True, json=False), "wyner")


def test_work_that_goes_on_after_sigterm_is_told_again(monkeypatch, capsys):
    monkeypatch.setattr(cli, "_PATIENCE", 0.1)

    def run(options):
        lost()
        lost_again = time.monotonic()
        try:
            time.sleep(10)
        except KeyboardInterrupt:
            assert time.monotonic() - lost_again < 5
        time.sleep(10)

    assert execute(run) == 143
    assert capsys.readouterr().err.startswith("wyner: error: ended by SIGTERM")
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


def test_work_that_ends_after_sigterm_does_not_count_as_done(capsys):
    assert execute(lambda options: lost()) == 143
    output = capsys.readouterr()
    assert (output.out, output.err) == (
        "",
        "wyner: error: ended by SIGTERM, when the work was done.\n",
    )


def test_a_second_sigterm_ends_the_process_at_once():
    code = (
        "import argparse, contextlib, os, signal, time\n"
        "from wyner_keras.cli import execute\n"
        "def run(options):\n"
        "    with contextlib.suppress(KeyboardInterrupt):\n"
        "        os.kill(os.getpid(), signal.SIGTERM)\n"
        "        time.sleep(5)\n"
        "    os.kill(os.getpid(), signal.SIGTERM)\n"
        "    time.sleep(5)\n"
        "execute(argparse.Namespace(run=run, quiet=True, json=False), 'wyner')\n"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == -signal.SIGTERM


WYNER = f"{sys.executable} -c 'import sys; from wyner_keras.cli import main; sys.exit(main())'"


@pytest.mark.parametrize(
    ("command", "code", "said"),
    [
        ("completion bash >&-", 0, ""),
        ("completion bash >/dev/full", 1, "wyner: error: the work is done, but stdout should take"),
        ("completion bash | true; exit ${PIPESTATUS[0]}", 0, ""),
    ],
)
def test_a_result_that_nobody_takes_ends_in_no_traceback(command, code, said):
    done = subprocess.run(
        ["bash", "-c", f"{WYNER} {command}"], capture_output=True, text=True, check=False
    )
    assert done.returncode == code, done.stderr
    assert done.stderr.startswith(said)
    assert len(done.stderr.splitlines()) == bool(said)


def test_where_a_terminal_lacks_a_letter_it_is_escaped():
    done = subprocess.run(
        ["bash", "-c", f"{WYNER} train --help"],
        capture_output=True,
        check=False,
        env={**os.environ, "PYTHONIOENCODING": "ascii"},
    )
    assert done.returncode == 0, done.stderr
    assert b"\\u2026" in done.stdout
