"""Generation, transfer and ranking by hand in PyTorch, eager or compiled; no TensorFlow here."""

from __future__ import annotations

import functools
import math
import sys
from typing import Any

import numpy as np
import torch

from benchmarks.by_hand import model
from benchmarks.by_hand import torch_ops as ops
from benchmarks.by_hand.products import by_name
from benchmarks.by_hand.serving import serve
from benchmarks.by_hand.talk import threads

Arrays = dict[str, Any]
_K, _LEAST = 10, 1e-30


class ByHand:
    """The model's tasks, of arrays in and out, as an engine of `serving.serve`.

    Args:
        file: of weights by name.
        compiled: whether `torch.compile` makes the functions.
    """

    def __init__(self, file: str, compiled: bool) -> None:
        arrays = by_name(file)
        self._p = {name: ops.weight(name, values) for name, values in arrays["p"].items()}
        self._steps = int(arrays["b"]["steps"])
        make = torch.compile if compiled else (lambda function: function)
        self._generate, self._transfer = make(self.generated), make(self.transferred)
        self._posterior = make(self.posterior)

    def generated(self, x: Any, noise_z: Any, noise_v: Any) -> Any:
        """Images y of images x."""
        p = self._p
        z = model.one_hot(ops, model.reader(ops, p, "x", x[..., 0]), noise_z)
        code = model.code_of(ops, p, "y", noise_v, z, self._steps)
        return model.codec_decode(ops, p, model.decode(ops, p, "y", code, z))[..., None]

    def transferred(
        self, style: Any, concept: Any, noise_concept_z: Any, noise_style_z: Any, noise_u: Any
    ) -> Any:
        """Images x in each style with the concept."""
        p = self._p
        z = model.one_hot(ops, model.reader(ops, p, "y", concept[..., 0]), noise_concept_z)
        own = model.one_hot(ops, model.reader(ops, p, "x", style[..., 0]), noise_style_z)
        features = model.codec_encode(ops, p, style[..., 0])
        code = model.gaussian(ops, model.posterior(ops, p, "x", features, own), noise_u)
        local = model.local_of(ops, p, "x", code, own, self._steps)
        z = z.repeat(len(style), 1)
        code = model.code_of(ops, p, "x", local, z, self._steps)
        return model.codec_decode(ops, p, model.decode(ops, p, "x", code, z))[..., None]

    def posterior(self, images: Any, side: str) -> Any:
        """Probabilities of z."""
        return ops.softmax(model.reader(ops, self._p, side, images[..., 0]))

    def generate_y(self, **given: np.ndarray) -> np.ndarray:
        """Images y."""
        return self._generate(**{n: torch.from_numpy(v) for n, v in given.items()}).numpy()

    def transfer_x(self, **given: np.ndarray) -> np.ndarray:
        """Images x, `(styles, 1, ...)`."""
        found = self._transfer(**{n: torch.from_numpy(v) for n, v in given.items()})
        return found[:, None].numpy()

    def gallery(self, y: np.ndarray) -> Any:
        """Posteriors of rows."""
        return self.posterior(torch.from_numpy(y), "y")

    def rank(self, x: np.ndarray, gallery: Any) -> tuple[np.ndarray, np.ndarray]:
        """Rows and nats of the best."""
        q = self._posterior(torch.from_numpy(x), "x")
        nats = (q @ gallery.T).clamp_min(_LEAST).log() + math.log(q.shape[1])
        best = torch.topk(nats, _K)
        return best.indices.numpy(), best.values.numpy()


if __name__ == "__main__":
    torch.set_num_threads(threads())
    torch.set_grad_enabled(False)
    _, weights, inputs, kind = sys.argv
    serve(functools.partial(ByHand, weights, kind == "compiled"), inputs)
