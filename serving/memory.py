"""How much memory there is: what the system has, and what the process's groups may use of it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

# Limit, use, and in memory.stat what of the use are files that can be dropped: cgroups 2 and 1.
_NEWER = ("memory.max", "memory.current", "inactive_file")
_OLDER = ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")


def available(root: Path = Path("/")) -> int | None:
    """Bytes that the process can still use; None where nothing is known.

    Args:
        root: of the file system on which Linux tells it.
    """
    return min([*_of_system(root), *_of_groups(root)], default=None)


def _of_system(root: Path) -> Iterator[int]:
    for line in _lines(root / "proc" / "meminfo"):
        if line.startswith("MemAvailable:"):
            yield 1024 * int(line.split()[1])
            return
    try:
        yield os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, OSError, ValueError):
        return


def _of_groups(root: Path) -> Iterator[int]:
    groups = root / "sys" / "fs" / "cgroup"
    for line in _lines(root / "proc" / "self" / "cgroup"):
        _, controllers, place = line.split(":", 2)
        if not controllers:
            base, files = groups, _NEWER
        elif "memory" in controllers.split(","):
            base, files = groups / "memory", _OLDER
        else:
            continue
        group = base / place.strip("/")
        # The limits of a group's parents bind it too. In a container only the last may be there.
        for each in (group, *group.parents):
            yield from _of_group(each, *files)
            if each == base:
                break


def _of_group(group: Path, limit: str, use: str, files: str) -> Iterator[int]:
    (most, *_), (used, *_) = _lines(group / limit) or [""], _lines(group / use) or [""]
    if not (most.isdigit() and used.isdigit()):
        # No such group, or one without a limit.
        return
    stat = dict(line.split(" ", 1) for line in _lines(group / "memory.stat") if " " in line)
    yield max(0, int(most) - int(used) + int(stat.get(files, 0)))


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text().splitlines()
    except OSError:
        return []
