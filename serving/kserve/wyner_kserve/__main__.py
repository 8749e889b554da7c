"""The command `wyner-kserve`; its first four options are those that KServe passes to a server."""

from __future__ import annotations

import argparse
import os
import sys
from concurrent.futures import ThreadPoolExecutor

from kserve.logging import configure_logging

from wyner_kserve.model import TaskModel
from wyner_kserve.server import Address, serve
from wyner_kserve.tasks import ranking_of, tasks_of
from wyner_serving import Bundle, BundleError, Gallery, InputError


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"should be positive. Received: {value}")
    return value


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="wyner-kserve",
        description="Serve a bundle by the KServe protocols.",
        allow_abbrev=False,
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    processors = os.cpu_count() or 1
    add = parser.add_argument
    add("--model_dir", required=True, help="folder of the bundle")
    add("--model_name", default="wyner", help="what the names of the models begin with")
    add("--http_port", type=int, default=8080, help="port of REST")
    add("--grpc_port", type=int, default=8081, help="port of gRPC")
    add("--host", default="0.0.0.0", help="address to listen on")
    add("--max_bytes", type=_positive, default=2**24, help="limit on the size of a request")
    add("--max_results", type=_positive, default=256, help="limit on what a request asks for")
    add("--gallery", nargs="+", default=[], help="files of `Gallery.save` to rank, one a side")
    add("--concurrency", type=_positive, default=processors, help="requests computed at once")
    add("--threads", type=_positive, default=1, help="threads of one computation")
    return parser


def main() -> None:
    """Parse, open the bundle, serve."""
    options = _parser().parse_args()
    configure_logging()
    try:
        bundle = Bundle.load(options.model_dir, threads=options.threads)
        executor = ThreadPoolExecutor(options.concurrency, thread_name_prefix="bundle")
        tasks = [
            *tasks_of(bundle.manifest, options.max_results),
            *(
                ranking_of(bundle, Gallery.load(path), options.max_results)
                for path in options.gallery
            ),
        ]
        names = [f"{options.model_name}-{task.name.replace('_', '-')}" for task in tasks]
        if len(set(names)) < len(names):
            raise InputError(f"--gallery should be one a side. Received: {options.gallery}")
        models = [
            TaskModel(name, task, bundle, executor) for name, task in zip(names, tasks, strict=True)
        ]
        for model in models:
            model.load()
        address = Address(
            host=options.host, http_port=options.http_port, grpc_port=options.grpc_port
        )
        serve(models, address, options.max_bytes)
    except (BundleError, InputError, RuntimeError) as error:
        sys.exit(f"wyner-kserve: {error}")


if __name__ == "__main__":
    main()
