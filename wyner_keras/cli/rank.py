"""`wyner rank`."""

from __future__ import annotations

import argparse
import csv
import io
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from wyner_keras.cli import options as shared
from wyner_keras.cli.opened import Opened, open_folder
from wyner_keras.cli.options import Result
from wyner_keras.files import refuse_existing, shortest, to_json
from wyner_serving.sides import OTHER
from wyner_serving.whole import whole_file

if TYPE_CHECKING:
    from wyner_serving import Gallery, Ranked

_SUFFIX = ".gallery"
_DESCRIPTION = f"""\
Find partners: for each query of one side the examples of the other, the gallery, that go best with
it. Each has its pointwise mutual information with the query in nats, which is above 0 where the two
are likelier together than apart.

FILE ends in .csv for a table with the columns query, place, row and nats, a row for each query and
place, the best place 1; or in .json for the same as a list. Queries and rows count from 0, in the
order in which they are given; of image files, query_file and row_file name them.

A gallery is encoded once: --save-gallery keeps it in a {_SUFFIX} file, which --gallery takes.
"""


def add_parser(commands: Any) -> None:
    """Add the command to `wyner`."""
    parser: argparse.ArgumentParser = commands.add_parser(
        "rank",
        help="find the examples of one side that go best with the other's",
        description=_DESCRIPTION,
        epilog=shared.examples("wyner rank runs/mine --from x --gallery DIR --out partners.csv"),
    )
    parser.add_argument("folder", metavar="RUN", help=shared.RUN)
    parser.add_argument(
        "--from",
        dest="given",
        required=True,
        choices=("x", "y"),
        help="what the queries are: x (ranks y), or y (ranks x)",
    )
    parser.add_argument(
        "--input",
        nargs="+",
        metavar="FILE",
        help=f"queries, {shared.FILES} (default: held-out examples of the run, of each class in "
        "turn; a bundle's samples)",
    )
    parser.add_argument(
        "--count",
        type=shared.positive,
        metavar="N",
        help="how many queries (default: all of --input; else one of each class, 10 at most)",
    )
    parser.add_argument(
        "--gallery",
        nargs="+",
        metavar="FILE",
        help=f"examples of the other side, read as those of --input, or one {_SUFFIX} file "
        "(default: the held-out examples of the run; a bundle's samples)",
    )
    parser.add_argument(
        "--top",
        type=shared.positive,
        metavar="K",
        help="how many of the gallery for each query (default: 10, or all if there are fewer)",
    )
    parser.add_argument(
        "--save-gallery",
        metavar="FILE",
        help=f"{_SUFFIX} file to keep the encoded gallery in; must be new",
    )
    parser.add_argument("--out", required=True, metavar="FILE", help="file to write; must be new")
    shared.add_common(parser, "of which examples are queries (default: 0)")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> Result:
    """Rank and write the file."""
    path, kept = refuse_existing(options.out, "--out", (".csv", ".json")), None
    if options.save_gallery:
        kept = refuse_existing(options.save_gallery, "--save-gallery", (_SUFFIX,))
    opened = open_folder(options.folder)
    given, side = options.given, OTHER[options.given]
    queries, query_files = _queries(opened, options)
    gallery, row_files = _gallery(opened, options.gallery, side)
    if kept:
        gallery.save(kept)
    top = options.top or 10
    rank = opened.model.rank_y if side == "y" else opened.model.rank_x
    ranked = rank(queries, gallery, k=top)
    _write(path, _records(ranked, query_files, row_files))
    count, rows = len(queries), len(gallery)
    text = f"the best {ranked.rows.shape[1]} of {rows} {side} for each of {count} {given} in {path}"
    values = {
        "out": str(path),
        "from": given,
        "count": count,
        "gallery": rows,
        "top": ranked.rows.shape[1],
        "gallery_file": None if kept is None else str(kept),
    }
    return Result(text, values)


def _queries(
    opened: Opened, options: argparse.Namespace
) -> tuple[np.ndarray, Sequence[str] | None]:
    from wyner_keras.cli import inputs

    side, paths = options.given, options.input
    if paths:
        entry = opened.model.side_entries[side]
        rows = inputs.read(paths, side, entry, "--input")[: options.count]
        return rows, inputs.names(paths, entry, "--input")
    examples, places = opened.chosen(side, options.seed or 0, options.count)
    return examples.rows[side][places], None


def _gallery(
    opened: Opened, paths: Sequence[str] | None, side: str
) -> tuple[Gallery, Sequence[str] | None]:
    """The gallery, and its rows' files where each has one."""
    from wyner_keras.cli import inputs
    from wyner_serving import Gallery

    if paths and any(Path(each).suffix == _SUFFIX for each in paths):
        if len(paths) > 1:
            raise ValueError(f"--gallery should be one {_SUFFIX} file. Received: {len(paths)}")
        return Gallery.load(paths[0]), None
    model = opened.model
    encode = model.gallery_y if side == "y" else model.gallery_x
    if not paths:
        return encode(opened.examples.rows[side]), None
    entry = model.side_entries[side]
    rows = inputs.read(paths, side, entry, "--gallery")
    return encode(rows), inputs.names(paths, entry, "--gallery")


def _records(
    ranked: Ranked, query_files: Sequence[str] | None, row_files: Sequence[str] | None
) -> list[dict[str, Any]]:
    """One for each query and place."""
    found = []
    for query, (rows, nats) in enumerate(zip(*ranked, strict=True)):
        for place, (row, score) in enumerate(zip(rows.tolist(), nats, strict=True), 1):
            record = {"query": query, "place": place, "row": row, "nats": float(shortest(score))}
            if query_files:
                record["query_file"] = query_files[query]
            if row_files:
                record["row_file"] = row_files[row]
            found.append(record)
    return found


def _write(path: Path, records: Sequence[dict[str, Any]]) -> None:
    if path.suffix == ".json":
        text = to_json(records)
    else:
        stream = io.StringIO(newline="")
        writer = csv.DictWriter(stream, list(records[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(records)
        text = stream.getvalue()
    path.parent.mkdir(parents=True, exist_ok=True)
    with whole_file(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
