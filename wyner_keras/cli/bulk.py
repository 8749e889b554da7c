"""`wyner bulk`."""

from __future__ import annotations

import argparse
from typing import Any

from wyner_keras.cli import options as shared
from wyner_keras.cli.opened import bundle_folder
from wyner_keras.cli.options import CommandFailed, Result
from wyner_serving.bulk import TASKS, Done, Job
from wyner_serving.bulk import run as run_here
from wyner_serving.bulk.parts import FORMS
from wyner_serving.errors import ServingError

_DESCRIPTION = """\
Generate, transfer, encode or rank over a data set, by an exported bundle: rows in, numbered rows
out, a file for each so many rows. Nothing of it has to fit in memory.

Each row has noise of its own, which depends on --seed and on its number alone, so that the same
command gives the same files, whether one process works or many (--ray). Files appear whole: where
a command was killed, the same one goes on with those that are missing.

DIR is a folder (or a file) of .parquet files, of .npy or .npz files, or of images. What is read is
in columns, arrays or, for transfer of images, folders: x (of encode_x, generate_y, rank_y), y (of
encode_y, generate_x, rank_x), or style and concept; vectors may have a Parquet column each, x.NAME.
"""


def add_parser(commands: Any) -> None:
    """Add the command to `wyner`."""
    parser: argparse.ArgumentParser = commands.add_parser(
        "bulk",
        help="generate, transfer, encode or rank over a data set",
        description=_DESCRIPTION,
        epilog=shared.examples("wyner bulk bundle --task generate_y --input DIR --output DIR"),
    )
    parser.add_argument("folder", metavar="BUNDLE", help="bundle of `wyner export`, or preset:NAME")
    parser.add_argument(
        "--task", required=True, choices=TASKS, metavar="TASK", help=", ".join(TASKS)
    )
    parser.add_argument("--input", metavar="DIR", help="rows; generate_pairs has none")
    parser.add_argument(
        "--output",
        required=True,
        metavar="DIR",
        help="folder to write; new, or of the same command, which goes on",
    )
    parser.add_argument(
        "--count",
        type=shared.positive,
        metavar="N",
        help="how many pairs; of an input, how many of its rows (default: all)",
    )
    parser.add_argument(
        "--samples",
        type=shared.positive,
        metavar="S",
        help="how many for each input, numbered in the column sample (default: one)",
    )
    parser.add_argument(
        "--gallery", metavar="FILE", help="to rank in, of `wyner rank --save-gallery`"
    )
    parser.add_argument(
        "--top",
        type=shared.positive,
        default=10,
        metavar="K",
        help="how many of the gallery for each query (default: 10)",
    )
    parser.add_argument(
        "--format",
        choices=FORMS,
        default=FORMS[0],
        help="of the output (default: parquet, which needs wyner-keras[bulk])",
    )
    parser.add_argument(
        "--rows-per-part",
        type=shared.positive,
        default=Job.rows_per_part,
        metavar="N",
        help=f"rows of a file (default: {Job.rows_per_part})",
    )
    parser.add_argument(
        "--ray",
        metavar="ADDRESS",
        help="work on a cluster of Ray, which needs wyner-keras[ray]: its address, auto, or local, "
        "all processors of this machine (default: this process)",
    )
    parser.add_argument(
        "--workers",
        type=shared.positive,
        metavar="N",
        help="processes on that cluster (default: its processors but one)",
    )
    shared.add_common(parser, "of the noise (default: 0)")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> Result:
    """Do the work and say what there is."""
    if options.workers and not options.ray:
        raise ValueError(f"--workers should go with --ray. Received: --workers {options.workers}")
    job = Job(
        bundle=bundle_folder(options.folder),
        task=options.task,
        output=options.output,
        input=options.input,
        count=options.count,
        samples=options.samples,
        seed=options.seed or 0,
        gallery=options.gallery,
        top=options.top,
        form=options.format,
        rows_per_part=options.rows_per_part,
    )
    try:
        done = _done(job, options)
    except ServingError as error:
        raise CommandFailed(str(error)) from error
    except KeyboardInterrupt as error:
        raise KeyboardInterrupt("The same command goes on with what is missing") from error
    text = f"{done.rows} rows in {done.parts} parts in {job.output}"
    if done.written < done.parts:
        text += f", {done.parts - done.written} of which were there before"
    values = {"output": job.output, "task": job.task, "seed": job.seed, **done._asdict()}
    return Result(text, values)


def _done(job: Job, options: argparse.Namespace) -> Done:
    if not options.ray:
        return run_here(job)
    # Here, because it needs Ray.
    from wyner_serving.ray import run as run_there

    return run_there(job, address=options.ray, workers=options.workers)
