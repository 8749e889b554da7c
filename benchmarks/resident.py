"""Memory of a process as Linux tells it, in MB of 10⁶ bytes. Standard library only."""

from __future__ import annotations

from pathlib import Path

Pid = int | str


def _mb(key: str, pid: Pid) -> float:
    """An entry of /proc/PID/status, where "kB" are 1,024 bytes; 0 of a process that has ended."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    sizes = dict(line.split(":", 1) for line in lines)
    return 1.024e-3 * int(sizes.get(key, "0 kB").split()[0])


def resident_mb(pid: Pid = "self") -> float:
    """All that is resident, pages of mapped files and of libraries too."""
    return _mb("VmRSS", pid)


def own_mb(pid: Pid = "self") -> float:
    """What is resident of the process's own, which belongs to no file."""
    return _mb("RssAnon", pid)


def most_mb(pid: Pid = "self") -> float:
    """The most that was resident since the process began.

    A child's `ru_maxrss` begins with its parent's; this does not.
    """
    return _mb("VmHWM", pid)


def family_mb(pid: Pid = "self") -> float:
    """What is resident of a process and of those that it started, each counted whole."""
    found = resident_mb(pid)
    for task in Path(f"/proc/{pid}/task").iterdir():
        for child in (task / "children").read_text().split():
            try:
                found += family_mb(child)
            except (FileNotFoundError, ProcessLookupError):
                continue  # ended meanwhile
    return found
