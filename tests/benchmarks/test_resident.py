import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from benchmarks.resident import family_mb, most_mb, own_mb, resident_mb


def test_memory_that_is_taken_is_seen():
    own, resident = own_mb(), resident_mb()
    assert 1 < own < resident < 1.01 * most_mb()  # the system counts in batches of pages
    held = np.ones(10_000_000)
    assert own_mb() - own == pytest.approx(80, rel=0.1)
    assert resident_mb() - resident == pytest.approx(80, rel=0.1)
    most = most_mb()
    del held
    assert own_mb() - own < 8
    assert most_mb() == pytest.approx(most, rel=0.01)
    assert most > resident_mb() + 70
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    assert resident_mb() == pytest.approx(pages * os.sysconf("SC_PAGE_SIZE") / 1e6, rel=0.05)


def test_a_process_counts_with_those_that_it_started():
    code = "import sys; held = bytes(range(250)) * 200_000; print(flush=True); sys.stdin.read()"
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    before = family_mb()
    with subprocess.Popen([sys.executable, "-c", code], **pipes) as child:
        child.stdout.readline()
        alone = resident_mb(child.pid)
        assert family_mb(child.pid) == pytest.approx(alone, rel=0.01)
        assert family_mb() - before > 50
        child.kill()
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
        # It has ended, and nobody has asked how.
        assert resident_mb(child.pid) == 0
