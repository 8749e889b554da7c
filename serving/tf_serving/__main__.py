"""`python -m wyner_serving.tf_serving`: a bundle's SavedModel made ready for the server."""

from __future__ import annotations

import argparse
import sys

from wyner_serving.errors import BundleError, InputError
from wyner_serving.tf_serving.stage import stage


def main() -> int:
    """Parse, stage, print the new version's folder."""
    parser = argparse.ArgumentParser(
        prog="python -m wyner_serving.tf_serving",
        description="Put a bundle's SavedModel into a folder of models as its next version.",
    )
    parser.add_argument("bundle", help="folder that `wyner export` wrote")
    parser.add_argument("--models", required=True, help="folder that the server reads as /models")
    parser.add_argument("--version", type=int, help="default: one more than the highest there")
    options = parser.parse_args()
    try:
        print(stage(options.bundle, options.models, version=options.version))
    except (BundleError, InputError, OSError) as error:
        print(f"{parser.prog}: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
