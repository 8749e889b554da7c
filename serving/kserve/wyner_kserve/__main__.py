"""The command `wyner-kserve`; its first four options are those that KServe passes to a server."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"should be positive. Received: {value}")
    return value


def _port(text: str) -> int:
    value = int(text)
    if not 0 <= value < 2**16:
        raise argparse.ArgumentTypeError(f"should be of 16 bits. Received: {value}")
    return value


def _seconds(text: str) -> float:
    value = float(text)
    if not 0 < value < 1e6:
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
    add("--model_dir", required=True, type=Path, help="folder of the bundle")
    add("--key", help="public key by which the bundle should be signed")
    add("--model_name", default="wyner", help="what the names of the models begin with")
    add("--http_port", type=_port, default=8080, help="port of REST")
    add("--grpc_port", type=_port, default=8081, help="port of gRPC")
    add("--host", default="0.0.0.0", help="address to listen on")
    add("--max_results", type=_positive, default=256, help="limit on what a request asks for")
    add("--max_bytes", type=_positive, help="of a request; by default what --max_results needs")
    add("--max_buffer", type=_positive, default=2**26, help="bytes of all requests at once")
    add("--max_requests", type=_positive, default=64, help="computed or waiting at once")
    add("--max_connections", type=_positive, default=512, help="open at once by REST")
    add("--header_seconds", type=_seconds, default=5.0, help="for a request's headers")
    add("--body_seconds", type=_seconds, default=10.0, help="for a request's body")
    add("--request_seconds", type=_seconds, default=15.0, help="for an answer")
    add("--gallery", nargs="+", default=[], help="files of `Gallery.save` to rank, one a side")
    add("--concurrency", type=_positive, default=processors, help="requests computed at once")
    add("--threads", type=_positive, default=1, help="threads of one computation")
    return parser


def _serve(options: argparse.Namespace) -> None:
    # Here, because the reader's process, which imports this file, has no use for them.
    from wyner_kserve.limits import Limits, bytes_for
    from wyner_kserve.records import log_as_json
    from wyner_kserve.server import Address, serve
    from wyner_kserve.service import Service, verified
    from wyner_kserve.tasks import ranking_of, tasks_of
    from wyner_serving import BundleError, Gallery, InputError
    from wyner_serving.manifest import read_manifest

    log_as_json()
    try:
        folder = options.model_dir.absolute()
        manifest = read_manifest(folder, options.key)
        found = [
            *tasks_of(manifest, options.max_results),
            *(
                ranking_of(manifest["sides"], Gallery.load(path), options.max_results)
                for path in options.gallery
            ),
        ]
        tasks = {f"{options.model_name}-{task.name.replace('_', '-')}": task for task in found}
        if len(tasks) < len(found):
            raise InputError(f"--gallery should be one a side. Received: {options.gallery}")
        max_bytes = options.max_bytes or bytes_for(found)
        limits = Limits(
            max_bytes=max_bytes,
            max_buffer=max(options.max_buffer, max_bytes),
            max_requests=options.max_requests,
            max_connections=options.max_connections,
            header_seconds=options.header_seconds,
            body_seconds=options.body_seconds,
            request_seconds=options.request_seconds,
        )
        service = Service(tasks, limits, options.concurrency)
        address = Address(
            host=options.host, http_port=options.http_port, grpc_port=options.grpc_port
        )
        serve(service, address, limits, lambda: verified(folder, manifest, options.threads))
    except (BundleError, InputError, RuntimeError) as error:
        sys.exit(f"wyner-kserve: {error}")


def main() -> None:
    """Parse, open the bundle, serve."""
    _serve(_parser().parse_args())


if __name__ == "__main__":
    main()
