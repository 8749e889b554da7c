"""What memory there is, by a tree of files as Linux has it."""

import pytest

from wyner_serving.memory import available

GIB = 2**30


@pytest.fixture
def machine(tmp_path):
    """Writes files of a machine with 8 GiB available, and reads what is available there."""

    def read(**files):
        (tmp_path / "proc" / "self").mkdir(parents=True)
        meminfo = f"MemTotal: 9 kB\nMemAvailable: {8 * GIB // 1024} kB\n"
        for name, content in {"proc/meminfo": meminfo, **files.pop("files", {})}.items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(content)
        return available(tmp_path)

    return read


def newer(group, limit, used, cache=0):
    base = f"sys/fs/cgroup{group}"
    return {
        f"{base}/memory.max": f"{limit}\n",
        f"{base}/memory.current": f"{used}\n",
        f"{base}/memory.stat": f"anon 1\ninactive_file {cache}\nactive_file 7\n",
    }


def older(group, limit, used, cache=0):
    base = f"sys/fs/cgroup/memory{group}"
    return {
        f"{base}/memory.limit_in_bytes": f"{limit}\n",
        f"{base}/memory.usage_in_bytes": f"{used}\n",
        f"{base}/memory.stat": f"inactive_file 5\ntotal_inactive_file {cache}\n",
    }


GROUP, OLD = {"proc/self/cgroup": "0::/a/b\n"}, {"proc/self/cgroup": "4:cpu:/\n3:memory:/a\n0::/\n"}


@pytest.mark.parametrize(
    ("files", "gib"),
    [
        ({}, 8),
        (GROUP, 8),
        (GROUP | newer("/a/b", "max", GIB), 8),
        (GROUP | newer("/a/b", 4 * GIB, GIB), 3),
        (GROUP | newer("/a/b", 4 * GIB, 3 * GIB, cache=2 * GIB), 3),
        # A parent's limit binds, and so does the container's, where only its root is there.
        (GROUP | newer("/a/b", "max", 0) | newer("/a", 3 * GIB, GIB), 2),
        (GROUP | newer("", 6 * GIB, GIB), 5),
        (GROUP | newer("/a/b", 4 * GIB, 5 * GIB), 0),
        (GROUP | newer("/a/b", 99 * GIB, GIB), 8),
        (OLD | older("/a", 4 * GIB, GIB, cache=GIB), 4),
        (OLD | older("", 9223372036854771712, GIB), 8),
        (OLD | older("", 2 * GIB, GIB), 1),
    ],
)
def test_the_least_of_system_and_groups(machine, files, gib):
    assert machine(files=files) == gib * GIB


def test_this_machine_has_some():
    assert available() > 2**20
