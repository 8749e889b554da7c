import hashlib

import pytest


@pytest.fixture
def bytes_of():
    """The digests of what a folder holds, by name."""

    def of(folder):
        files = sorted(path for path in folder.rglob("*") if path.is_file())
        return {
            path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
            for path in files
        }

    return of
