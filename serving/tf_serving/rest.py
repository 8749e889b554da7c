"""TensorFlow Serving's REST interface, with the standard library."""

from __future__ import annotations

import base64
import http.client
import json
import time
import urllib.error
import urllib.parse
import urllib.request
from typing import Any

import numpy as np

from wyner_serving.errors import ServingError

_DTYPES = {"DT_FLOAT": np.float32, "DT_INT32": np.int32, "DT_STRING": np.object_}


# Bytes of an answer, and of what an error says.
_MOST, _SAID, _PART = 2**28, 2**16, 2**16
# What goes wrong where JSON is none, or says something else than it should.
MALFORMED = (
    *(KeyError, IndexError, TypeError, ValueError, AttributeError),
    *(OverflowError, RecursionError),
)


def _read(answer: Any, until: float, most: int = _MOST) -> bytes:
    """The body of an answer that does not trickle in for ever, or without end."""
    parts, size = [], 0
    while part := answer.read1(_PART):
        parts.append(part)
        size += len(part)
        if size > most:
            raise ValueError(f"an answer of more than {most} bytes")
        if time.monotonic() > until:
            raise TimeoutError("a part of an answer")
    if answer.length:
        raise http.client.IncompleteRead(b"", answer.length)
    return b"".join(parts)


def _said(error: urllib.error.HTTPError, until: float) -> str:
    """What a refusal says, as far as it comes in time."""
    said = ""
    try:
        with error:
            said = _read(error, until, _SAID).decode(errors="replace")
        return str(json.loads(said)["error"])
    except (OSError, http.client.HTTPException, *MALFORMED):
        return said[:1000] or error.reason


def _to_json(array: np.ndarray) -> list[Any]:
    if array.dtype == np.object_:
        return [{"b64": base64.b64encode(value).decode("ascii")} for value in array]
    return array.tolist()


def _bytes(value: Any) -> bytes:
    """Bytes as they are, or of a text: the server knows one from the other by the output's name."""
    if isinstance(value, str):
        return value.encode()
    return base64.b64decode(value["b64"], validate=True)


def _from_json(values: Any, dtype: str) -> np.ndarray:
    if dtype == "DT_STRING":
        found = np.empty(len(values), object)
        found[:] = [_bytes(value) for value in values]
        return found
    return np.array(values, _DTYPES[dtype])


def _shape(info: dict[str, Any]) -> tuple[int, ...]:
    return tuple(int(size["size"]) for size in info["tensor_shape"].get("dim", ()))


class Rest:
    """A model at `<url>/v1/models/<model>`.

    Args:
        url: of the server.
        model: its name.
        label: of the version, or None.
        version: its number, or None.
        timeout: seconds for one request.
    """

    def __init__(
        self, url: str, model: str, label: str | None, version: int | None, timeout: float
    ) -> None:
        self._model = f"{url.rstrip('/')}/v1/models/{urllib.parse.quote(model, safe='')}"
        self._path = self._model
        if version is not None:
            self._path += f"/versions/{version}"
        elif label is not None:
            self._path += f"/labels/{urllib.parse.quote(label, safe='')}"
        self._timeout = timeout
        self._signatures: dict[str, dict[str, tuple[str, tuple[int, ...]]]] | None = None

    def _call(self, url: str, body: dict[str, Any] | None = None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(url, data, {"Content-Type": "application/json"})
        until = time.monotonic() + self._timeout
        try:
            with urllib.request.urlopen(request, timeout=self._timeout) as answer:
                return json.loads(_read(answer, until))
        except urllib.error.HTTPError as error:
            raise ServingError(
                f"{url} should answer with 200. Received: {error.code}, {_said(error, until)}",
                error.code,
            ) from error
        except (OSError, http.client.HTTPException, ValueError, RecursionError) as error:
            # No connection, a time-out, a cut answer or one that is no JSON.
            reason = getattr(error, "reason", error)
            raise ServingError(
                f"{url} should answer within {self._timeout:g} s. Received: {reason}"
            ) from error

    def _described(self) -> dict[str, dict[str, tuple[str, tuple[int, ...]]]]:
        """By signature and output its type and shape; asked once."""
        if self._signatures is None:
            answer = self._call(f"{self._path}/metadata")
            try:
                found = answer["metadata"]["signature_def"]["signature_def"]
                self._signatures = {
                    name: {
                        output: (info["dtype"], _shape(info))
                        for output, info in signature["outputs"].items()
                    }
                    for name, signature in found.items()
                }
            except MALFORMED as error:
                raise ServingError(
                    f"{self._path}/metadata should describe signatures. Received: {answer!r:.300}"
                ) from error
        return self._signatures

    def outputs(self) -> dict[str, dict[str, tuple[int, ...]]]:
        """Shapes of all outputs, -1 where a size is free, by signature and name."""
        return {
            name: {output: shape for output, (_, shape) in outputs.items()}
            for name, outputs in self._described().items()
        }

    def states(self) -> dict[int, str]:
        """State of every version that the server knows."""
        answer = self._call(self._model)
        try:
            return {
                int(entry["version"]): entry["state"] for entry in answer["model_version_status"]
            }
        except MALFORMED as error:
            raise ServingError(
                f"{self._model} should tell the versions' states. Received: {answer!r:.300}"
            ) from error

    def predict(self, signature: str, inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Outputs of a signature by name, in the columnar format, which all signatures take."""
        described = self._described()
        if signature not in described:
            raise ServingError(
                f"`signature` should be one of {sorted(described)}. Received: {signature!r}"
            )
        outputs = described[signature]
        given = {name: _to_json(np.asarray(value)) for name, value in inputs.items()}
        answer = self._call(f"{self._path}:predict", {"signature_name": signature, "inputs": given})
        try:
            values = answer["outputs"]
            # A single output comes without its name.
            named = values if len(outputs) > 1 else dict.fromkeys(outputs, values)
            return {name: _from_json(named[name], dtype) for name, (dtype, _) in outputs.items()}
        except MALFORMED as error:
            raise ServingError(
                f"{signature} should answer with {sorted(outputs)}. "
                f"Received: {type(error).__name__}: {error!s:.300}"
            ) from error
