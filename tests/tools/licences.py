"""The licences of what is installed, by what each distribution says of itself; no network is asked.

`python tests/tools/licences.py` lists them. It is an error if one is not known to let everybody use
and pass on what is built with it.
"""

import importlib.metadata
import pathlib
import re
import sys

# As they are written in the fields of the metadata, in small letters.
FREE = (
    "0bsd",
    "apache",
    "bsd",
    "cc0",
    "isc",
    "mit",
    "mpl",
    "mozilla",
    "psf",
    "python",
    "zlib",
)
# It says none; its repository has the Apache licence.
SILENT = {"namex": "Apache-2.0"}


def licence_of(distribution):
    """What a distribution says: an expression, else classifiers, else the first line of a text."""
    told = distribution.metadata
    if told.get("License-Expression"):
        return told["License-Expression"]
    classifiers = [each for each in told.get_all("Classifier", []) if each.startswith("License ::")]
    if classifiers:
        return ", ".join(each.split(" :: ")[-1] for each in classifiers)
    text = (told.get("License") or "").strip()
    return text.splitlines()[0][:60] if text else SILENT.get(distribution.name, "")


def unknown_parts(licence):
    """Parts of a licence that are not known to be free to use; all of one that says nothing."""
    parts = re.split(r"\s+(?:AND|OR)\s+|,\s*", licence)
    return [part for part in parts if not any(each in part.lower() for each in FREE)]


def licences(lock):
    """Of every distribution of a lock file that is installed: name, version, licence."""
    pinned = re.findall(r"^([A-Za-z0-9._-]+)==", pathlib.Path(lock).read_text(), re.MULTILINE)
    for name in pinned:
        try:
            found = importlib.metadata.distribution(name)
        except importlib.metadata.PackageNotFoundError:
            continue  # of another platform
        yield name, found.version, licence_of(found)


if __name__ == "__main__":
    wrong = []
    for name, version, licence in licences(sys.argv[1] if sys.argv[1:] else "requirements.lock"):
        print(f"{name:<28} {version:<14} {licence}")
        wrong += [name] if unknown_parts(licence) else []
    sys.exit(f"licences should be known. Received: {', '.join(wrong)}" if wrong else 0)
