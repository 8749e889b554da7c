"""Damaged bundles: `python tests/tools/hostile_bundles.py BUNDLE [N [SEED [signed]]]`.

Each is opened and used in a process of its own. What is not "forged" should be refused with a
BundleError, in under a second and 200 MB. If the bundle is signed first, and opened by its key,
what is forged should be refused too.
"""

import collections
import json
import pathlib
import random
import shutil
import sys
import tempfile

import numpy as np
import onnxruntime  # noqa: F401  (children share what it takes to import)
from mutations import MANIFEST, mutate_bundle
from sandbox import outcome

from wyner_serving import Bundle, BundleError
from wyner_serving.samples import read_samples  # noqa: F401
from wyner_serving.seal import write_seal
from wyner_serving.signature import new_key, read_secret_key, sign

SECONDS, MEGABYTES = 1.0, 200.0
REFUSED = ("refused at load", "refused at use")


def answers(bundle):
    """What a bundle answers to a few questions."""
    x, y = bundle.samples("x")[:3], bundle.samples("y")[:3]
    z, local = bundle.encode_x(x, seed=1)
    found = [x, y, z, bundle.generate_y(x, seed=1), bundle.generate_x(y, seed=1)]
    found += [*bundle.generate_pairs(2, seed=1), bundle.decode_x(z, local)]
    found += [bundle.decode_y(*bundle.encode_y(y, seed=1)), *bundle.rank(x, y, k=2)]
    found += [bundle.transfer_x(style=x, concept=y, seed=1)]
    found += [bundle.transfer_y(style=y, concept=x, seed=1)]
    told = {side: bundle.posteriors(rows, side) for side, rows in (("x", x), ("y", y))}
    inputs = {
        f"{side}_{name}": values
        for side, of in told.items()
        for name, values in zip(bundle.posterior_names, of, strict=True)
    }
    # What ranks latents of no known form.
    return [*found, *bundle.run_graph("score_pairs", inputs)]


def used(folder, expected, facts, key=None):
    """How a bundle is opened and used: a kind, and what is told of it."""
    try:
        bundle = Bundle.load(folder, threads=1, public_key=key)
    except BundleError as error:
        return REFUSED[0], str(error)
    try:
        found = answers(bundle)
    except BundleError as error:
        return REFUSED[1], str(error)
    same = len(found) == len(expected) and all(map(np.array_equal, found, expected))
    same_facts = json.dumps(bundle.manifest) == facts
    if same and same_facts:
        return "accepted", "same answers"
    return ("accepted, other facts" if same else "accepted, other answers"), ""


def damage(source, seed, place):
    """A copy of a bundle, damaged; the family and the name of the damage."""
    target = pathlib.Path(place) / "bundle"
    shutil.copytree(source, target)
    return target, *mutate_bundle(random.Random(seed), target)


def run(source, count, seed=0, key=None):
    """Outcomes of so many damaged bundles, as (seed, family, name, outcome)."""
    bundle = Bundle.load(source, threads=1)
    facts = json.dumps(bundle.manifest)
    with tempfile.TemporaryDirectory() as kept:
        # Sessions have threads, which a fork would not copy.
        path = pathlib.Path(kept) / "answers.npz"

        def ask():
            np.savez(path, *answers(Bundle.load(source, threads=1)))
            return "asked", ""

        asked = outcome(ask, 60)
        if asked.kind != "asked":
            raise ValueError(f"{source} should be whole. Received: {asked}")
        with np.load(path) as arrays:
            expected = [arrays[name] for name in arrays.files]
    for number in range(seed, seed + count):
        with tempfile.TemporaryDirectory() as place:
            target, family, name = damage(source, number, place)

            def use(target=target):
                return used(target, expected, facts, key)

            yield number, family, name, outcome(use)


def main(source, count=2000, seed=0, signed=""):
    """Print what became of them; 1 if anything was not as it should be."""
    with tempfile.TemporaryDirectory() as place:
        folder, key = pathlib.Path(place) / "bundle", None
        shutil.copytree(source, folder)
        if signed:
            secret, key = new_key(pathlib.Path(place) / "KEY")
            content = (folder / MANIFEST).read_bytes()
            write_seal(folder, sign(content, read_secret_key(secret), f"file:{MANIFEST}"))
        return _report(run(folder, int(count), int(seed), key), key)


def _report(outcomes, key):
    """A table of outcomes, and each that is not as it should be; 1 if there is one."""
    table, wrong, most = collections.defaultdict(collections.Counter), [], (0.0, 0.0, 0.0)
    for number, family, name, found in outcomes:
        table[family][found.kind] += 1
        refused = found.kind in REFUSED
        if refused:
            most = tuple(map(max, most, (found.seconds, found.processor, found.megabytes)))
        lawful = family == "forged" and not key and found.kind.startswith("accepted")
        if not (refused or lawful) or found.processor > SECONDS or found.megabytes > MEGABYTES:
            wrong.append((number, family, name, found))
    kinds = sorted({kind for row in table.values() for kind in row})
    print(f"| damage | {' | '.join(kinds)} |\n|---|{'---|' * len(kinds)}")
    for family, row in sorted(table.items()):
        print(f"| {family} | {' | '.join(str(row[kind]) for kind in kinds)} |")
    total = {kind: sum(row[kind] for row in table.values()) for kind in kinds}
    print(f"| all | {' | '.join(map(str, total.values()))} |")
    print("refusals took at most {:.2f} s, {:.2f} of a processor, and {:.0f} MB".format(*most))
    for number, family, name, found in wrong:
        print(f"wrong: seed {number}, {family}, {name}: {found}")
    return bool(wrong)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
