"""From a bundle to a version folder that a batching server may serve."""

from __future__ import annotations

import os
from pathlib import Path, PurePosixPath
from typing import Any

from wyner_serving.checks import check_count
from wyner_serving.contents import read_file
from wyner_serving.errors import BundleError, InputError
from wyner_serving.manifest import read_manifest
from wyner_serving.tf_serving.wire import without_requests, without_signatures
from wyner_serving.whole import whole_folder

MODEL = "wyner"
_WARM_UP = "assets.extra/tf_serving_warmup_requests"


def unbatchable(manifest: dict[str, Any]) -> set[str]:
    """Graphs whose inputs do not share one batch size: the server's batching would mix requests."""
    return {
        name
        for name, graph in manifest["graphs"].items()
        if len({info["shape"][0] for info in graph["inputs"]}) > 1
    }


def stage(
    bundle: str | os.PathLike[str],
    models: str | os.PathLike[str],
    *,
    version: int | None = None,
) -> Path:
    """Put a bundle's SavedModel into a folder of models, without the signatures that cannot batch.

    The version appears under its name when it is whole, because a running server looks there
    every second and loads what it finds.

    Args:
        bundle: folder of the bundle; every file that is read is checked against its digest.
        models: folder that the server reads as `/models`; made if there is none.
        version: default one more than the highest that is there.

    Returns:
        The version's folder, `models/wyner/<version>`.

    Raises:
        BundleError: if the bundle is not whole.
        InputError: if the version is no positive integer, or exists.
    """
    source = Path(bundle)
    manifest = read_manifest(source)
    parent = Path(models) / MODEL
    parent.mkdir(parents=True, exist_ok=True)
    if version is None:
        taken = [int(path.name) for path in parent.iterdir() if path.name.isdecimal()]
        version = max(taken, default=0) + 1
    target = parent / str(check_count(version, "version"))
    if target.exists():
        raise InputError(f"`version` should be new. Received: version={version}, {target} exists")
    with whole_folder(target) as folder:
        _copy(source, manifest, folder)
    return target


def _copy(source: Path, manifest: dict[str, Any], folder: Path) -> None:
    try:
        root = PurePosixPath(manifest["saved_model"]["path"])
        names = unbatchable(manifest)
    except (KeyError, TypeError, IndexError) as error:
        raise BundleError(
            f"{source} should describe its SavedModel and graphs. "
            f"Received: {type(error).__name__}: {error}"
        ) from error
    changes = {"saved_model.pb": without_signatures, _WARM_UP: without_requests}
    inside = [name for name in manifest["files"] if PurePosixPath(name).is_relative_to(root)]
    if str(root / "saved_model.pb") not in inside:
        raise BundleError(f"{source} should hold {root}/saved_model.pb. Received: no such file")
    for name in inside:
        content = read_file(source, manifest, name)
        relative = str(PurePosixPath(name).relative_to(root))
        if relative in changes:
            try:
                content = changes[relative](content, names)
            except ValueError as error:
                raise BundleError(f"{name} should be as TensorFlow writes it. {error}") from error
        path = folder / relative
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    for path in folder.rglob("*"):
        # The server runs as another user.
        path.chmod(0o755 if path.is_dir() else 0o644)
