"""The list of public names that a test compares: `python tests/tools/public_names.py` writes it."""

import json
import pathlib
import sys

ROOT = pathlib.Path(__file__).parents[2]
LIST = pathlib.Path(__file__).parent / "public_names.json"


def names():
    """By module of the reference its public names, in order."""
    from docs.site import names as site

    return {module: sorted(site.public(module)) for module in site.MODULES}


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))
    LIST.write_text(json.dumps(names(), indent=1) + "\n", encoding="utf-8")
