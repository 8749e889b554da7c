"""Train one model of MultiVae on the pairs and write the images that it is asked for.

Runs in the peers' own environment (requirements.txt): PyTorch and NumPy, nothing of this project.

    python peer.py MODEL --pairs pairs.npz --out MODEL.npz (--epochs N | --seconds S)
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import torch

if "torchvision" not in sys.modules:
    # multivae imports it for data sets that are not used here, and it only loads beside the very
    # build of torch that it was made for.
    for _name in ("", ".transforms", ".datasets", ".datasets.utils", ".utils"):
        sys.modules[f"torchvision{_name}"] = mock.MagicMock()

from multivae.data.datasets.base import MultimodalBaseDataset
from multivae.models import (
    CVAE,
    DMVAE,
    JMVAE,
    MVAE,
    MVTCAE,
    CVAEConfig,
    DMVAEConfig,
    JMVAEConfig,
    MMVAEPlus,
    MMVAEPlusConfig,
    MoPoE,
    MoPoEConfig,
    MVAEConfig,
    MVTCAEConfig,
)
from multivae.models.nn.base_architectures import (
    BaseConditionalDecoder,
    BaseJointEncoder,
    BaseMultilatentEncoder,
)
from pythae.models.base.base_utils import ModelOutput
from pythae.models.nn.base_architectures import BaseDecoder, BaseEncoder
from torch import nn

# Grey values between 0 and 1 are usual as data of a Bernoulli decoder; validation refuses them.
torch.distributions.Distribution.set_default_validate_args(False)
SHARED, LOCAL = 32, 32  # without local latents the shared one is as wide as two of them
OTHER = {"x": "y", "y": "x"}
Arrays = dict[str, np.ndarray]


def mlp(inputs: int, outputs: int, hidden: list[int]) -> nn.Sequential:
    """Dense layers with ReLU between them, as in the library."""
    layers: list[nn.Module] = []
    for width in hidden:
        layers += [nn.Linear(inputs, width), nn.ReLU()]
        inputs = width
    return nn.Sequential(*layers, nn.Linear(inputs, outputs))


class Encoder(BaseEncoder):
    """One image to the moments of a latent."""

    def __init__(self, pixels: int, latent: int, hidden: list[int]) -> None:
        super().__init__()
        self.latent_dim = latent
        self.network = mlp(pixels, 2 * latent, hidden)

    def forward(self, x: torch.Tensor) -> ModelOutput:
        """Mean and log variance."""
        mean, log_variance = self.network(x.flatten(1)).chunk(2, dim=1)
        return ModelOutput(embedding=mean, log_covariance=log_variance)


class StyleEncoder(BaseMultilatentEncoder):
    """One image to the moments of a shared and of a local latent, by two networks."""

    def __init__(self, pixels: int, latent: int, style: int, hidden: list[int]) -> None:
        super().__init__()
        self.latent_dim, self.style_dim = latent, style
        self.shared, self.local = Encoder(pixels, latent, hidden), Encoder(pixels, style, hidden)

    def forward(self, x: torch.Tensor) -> ModelOutput:
        """Means and log variances of both."""
        shared, local = self.shared(x), self.local(x)
        return ModelOutput(
            embedding=shared.embedding,
            log_covariance=shared.log_covariance,
            style_embedding=local.embedding,
            style_log_covariance=local.log_covariance,
        )


class JointEncoder(BaseJointEncoder):
    """Several images to the moments of a latent."""

    def __init__(self, pixels: int, latent: int, hidden: list[int]) -> None:
        super().__init__()
        self.latent_dim = latent
        self.network = Encoder(pixels, latent, hidden)

    def forward(self, x: dict[str, torch.Tensor]) -> ModelOutput:
        """Mean and log variance."""
        return self.network(torch.cat([x[name].flatten(1) for name in sorted(x)], dim=1))


class Decoder(BaseDecoder):
    """A latent to the logits of an image."""

    def __init__(self, latent: int, shape: tuple[int, ...], hidden: list[int]) -> None:
        super().__init__()
        self.shape = shape
        self.network = mlp(latent, int(np.prod(shape)), hidden)

    def forward(self, z: torch.Tensor, **_: Any) -> ModelOutput:
        """Logits `(..., *shape)`."""
        return ModelOutput(reconstruction=self.network(z).reshape(*z.shape[:-1], *self.shape))


class ConditionalDecoder(BaseConditionalDecoder):
    """A latent and an image to the logits of another."""

    def __init__(self, latent: int, pixels: int, shape: tuple[int, ...], hidden: list[int]) -> None:
        super().__init__()
        self.latent_dim = latent
        self.network = Decoder(latent + pixels, shape, hidden)

    def forward(self, z: torch.Tensor, cond_mods: dict[str, torch.Tensor]) -> ModelOutput:
        """Logits `(batch, *shape)`."""
        given = [image.flatten(1) for image in cond_mods.values()]
        return self.network(torch.cat([z, *given], dim=1))


class Peer:
    """A joint model of MultiVae: what this comparison asks of it.

    Args:
        name: one of `JOINT`.
        shapes: image shapes of x and y.
        hidden: widths of the hidden layers.
    """

    def __init__(self, name: str, shapes: dict[str, tuple[int, ...]], hidden: list[int]) -> None:
        model, config, options = JOINT[name]
        pixels = {side: int(np.prod(shape)) for side, shape in shapes.items()}
        self.local = "modalities_specific_dim" in options
        shared = SHARED if self.local else SHARED + LOCAL
        self.tasks = (
            ("conditional", "joint", "transfer") if self.local else ("conditional", "joint")
        )
        encoders = {
            side: StyleEncoder(size, shared, LOCAL, hidden)
            if self.local
            else Encoder(size, shared, hidden)
            for side, size in pixels.items()
        }
        width = shared + LOCAL * self.local
        decoders = {side: Decoder(width, shape, hidden) for side, shape in shapes.items()}
        more = {}
        if model is JMVAE:
            more["joint_encoder"] = JointEncoder(sum(pixels.values()), shared, hidden)
        settings = config(
            n_modalities=2,
            latent_dim=shared,
            input_dims=shapes,
            decoders_dist=dict.fromkeys(shapes, "bernoulli"),
            **options,
        )
        self.model = model(settings, encoders=encoders, decoders=decoders, **more)
        self.model.device = torch.device("cpu")
        self.warmup = getattr(self.model, "warmup", 0)

    def parameters(self) -> list[nn.Parameter]:
        """All that is trained."""
        return [each for each in self.model.parameters() if each.requires_grad]

    def loss(self, x: torch.Tensor, y: torch.Tensor, progress: float) -> torch.Tensor:
        """The model's own loss; its warm-up, if any, takes the first fifth of the training."""
        self.model.train()
        epoch = 1 + 5 * progress * self.warmup
        data = MultimodalBaseDataset({"x": x, "y": y})
        return self.model(data, epoch=epoch, batch_ratio=0).loss

    def conditional(self, given: torch.Tensor, side: str) -> torch.Tensor:
        """Logits of the other side."""
        other = OTHER[side]
        self.model.eval()
        # Some models run all encoders, whatever is conditioned on.
        unused = torch.zeros(len(given), *self.model.input_dims[other])
        data = MultimodalBaseDataset({side: given, other: unused})
        return self.model.decode(self.model.encode(data, cond_mod=side), other)[other]

    def joint(self, count: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Logits of pairs."""
        self.model.eval()
        if isinstance(self.model, MMVAEPlus):
            # Its own generate_from_prior gives both sides one local latent.
            mean, scale = self.model.pz_params
            draws = [self.model.prior_dist(mean, scale).sample([count]).squeeze(1) for _ in "xy"]
            z = draws[0][:, :SHARED]
            locals_ = {side: draw[:, SHARED:] for side, draw in zip("xy", draws, strict=True)}
            latent = ModelOutput(z=z, one_latent_space=False, modalities_z=locals_)
        else:
            latent = self.model.generate_from_prior(count)
        decoded = self.model.decode(latent)
        return decoded["x"], decoded["y"]

    def transfer(self, style: torch.Tensor, concept: torch.Tensor, side: str) -> torch.Tensor:
        """Logits of `side`, one for each row of style and concept."""
        other = OTHER[side]
        self.model.eval()
        data = MultimodalBaseDataset({side: style, other: concept})
        local = self.model.encode(data, cond_mod=side).modalities_z[side]
        shared = self.model.encode(data, cond_mod=other).z
        latent = ModelOutput(z=shared, one_latent_space=False, modalities_z={side: local})
        return self.model.decode(latent, side)[side]


class ConditionalPeer:
    """MultiVae's CVAE, one in each direction, each with a conditional prior."""

    tasks = ("conditional",)

    def __init__(self, name: str, shapes: dict[str, tuple[int, ...]], hidden: list[int]) -> None:
        pixels = {side: int(np.prod(shape)) for side, shape in shapes.items()}
        self.models = {}
        for side, shape in shapes.items():
            given = OTHER[side]
            self.models[side] = CVAE(
                CVAEConfig(
                    conditioning_modalities=[given],
                    main_modality=side,
                    input_dims=shapes,
                    latent_dim=LOCAL,
                    decoder_dist="bernoulli",
                ),
                encoder=JointEncoder(sum(pixels.values()), LOCAL, hidden),
                decoder=ConditionalDecoder(LOCAL, pixels[given], shape, hidden),
                prior_network=JointEncoder(pixels[given], LOCAL, hidden),
            )

    def parameters(self) -> list[nn.Parameter]:
        """All that is trained."""
        return [each for model in self.models.values() for each in model.parameters()]

    def loss(self, x: torch.Tensor, y: torch.Tensor, progress: float) -> torch.Tensor:
        """Both directions' losses."""
        data = MultimodalBaseDataset({"x": x, "y": y})
        return sum(model.train()(data).loss for model in self.models.values())

    def conditional(self, given: torch.Tensor, side: str) -> torch.Tensor:
        """Logits of the other side."""
        model = self.models[OTHER[side]].eval()
        return model.decode(model.generate_from_prior({side: given})).reconstruction


LOCALS = {"x": LOCAL, "y": LOCAL}
JOINT: dict[str, tuple[Any, Any, dict[str, Any]]] = {
    "jmvae": (JMVAE, JMVAEConfig, {}),
    "mvae": (MVAE, MVAEConfig, {}),
    "mmvae+": (MMVAEPlus, MMVAEPlusConfig, {"modalities_specific_dim": LOCAL}),
    "dmvae": (DMVAE, DMVAEConfig, {"modalities_specific_dim": LOCALS}),
    "mvtcae": (MVTCAE, MVTCAEConfig, {}),
    "mopoe": (MoPoE, MoPoEConfig, {}),
}
PEERS: dict[str, Callable[..., Any]] = {"cvae": ConditionalPeer, **dict.fromkeys(JOINT, Peer)}


def train(peer: Any, arrays: Arrays, settings: dict[str, Any], limit: dict[str, Any]) -> Arrays:
    """Adam, its rate falling geometrically, until the epochs or seconds are used up.

    Returns:
        Epochs (a fraction where time ended one) and seconds of training.
    """
    rng = np.random.default_rng(settings["seed"])
    images = torch.from_numpy(arrays["train"]).squeeze(-1)
    index, batch = torch.from_numpy(arrays["index"]), settings["batch_size"]
    optimizer = torch.optim.Adam(peer.parameters(), lr=settings["rate_start"])
    fall = settings["rate_end"] / settings["rate_start"]
    steps, per_epoch, begin = 0, max(1, len(index) // batch), time.perf_counter()

    def progress() -> float:
        if limit["seconds"]:
            return (time.perf_counter() - begin) / limit["seconds"]
        return steps / (per_epoch * limit["epochs"])

    while (done := progress()) < 1:
        if steps % per_epoch == 0:
            order = torch.from_numpy(rng.permutation(len(index)))
        start = steps % per_epoch * batch
        rows = index[order[start : start + batch]]
        for group in optimizer.param_groups:
            group["lr"] = settings["rate_start"] * fall**done
        loss = peer.loss(images[rows[:, 0]], images[rows[:, 1]], done)
        if not torch.isfinite(loss):
            sys.exit(f"the loss became {loss.item()} at step {steps}")
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        steps += 1
        if steps % per_epoch == 0:
            print(f"epoch {steps // per_epoch}: {loss.item():.3f}", flush=True)
    return {"epochs": steps / per_epoch, "seconds": time.perf_counter() - begin}


def chunks(count: int, size: int = 1000) -> Iterator[slice]:
    """Slices of `count` rows."""
    return (slice(start, min(start + size, count)) for start in range(0, count, size))


def pixels(logits: torch.Tensor) -> np.ndarray:
    """Images uint8 `(n, h, w, 1)`: the means of the pixels' Bernoulli distributions."""
    return (255 * torch.sigmoid(logits)).round().to(torch.uint8).numpy()[..., None]


@torch.no_grad()
def answer(peer: Any, arrays: Arrays, settings: dict[str, Any]) -> Arrays:
    """All images that the evaluation asks for, by name."""
    test = torch.from_numpy(arrays["test"]).squeeze(-1)
    answers = {}
    for side, other in OTHER.items():

        def generate(rows: np.ndarray, given: str = other) -> np.ndarray:
            images = test[torch.from_numpy(rows)]
            parts = [pixels(peer.conditional(images[s], given)) for s in chunks(len(rows))]
            return np.concatenate(parts)

        diverse, samples = arrays[f"diverse_{side}"], settings["samples"]
        answers[f"conditional_{side}"] = generate(arrays[f"inputs_{side}"])
        many = generate(np.repeat(diverse, samples))
        answers[f"diverse_{side}"] = many.reshape(len(diverse), samples, *many.shape[1:])
        if "transfer" in peer.tasks:
            styles, concepts = arrays[f"styles_{side}"], arrays[f"concepts_{side}"]
            style = test[torch.from_numpy(np.repeat(styles, len(concepts)))]
            concept = test[torch.from_numpy(np.tile(concepts, len(styles)))]
            parts = [pixels(peer.transfer(style[s], concept[s], side)) for s in chunks(len(style))]
            made = np.concatenate(parts)
            answers[f"transfer_{side}"] = made.reshape(len(styles), len(concepts), *made.shape[1:])
    if "joint" in peer.tasks:
        x, y = peer.joint(settings["pairs"])
        answers["joint_x"], answers["joint_y"] = pixels(x), pixels(y)
    return answers


def main() -> None:
    """Train, answer, and write the file whole or not at all."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", choices=PEERS)
    parser.add_argument("--pairs", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    budget = parser.add_mutually_exclusive_group(required=True)
    budget.add_argument("--epochs", type=int)
    budget.add_argument("--seconds", type=float)
    options = parser.parse_args()
    arrays = dict(np.load(options.pairs))
    settings = json.loads(str(arrays.pop("settings")))
    torch.manual_seed(settings["seed"])
    np.random.seed(settings["seed"])  # noqa: NPY002 - MultiVae draws from it
    shapes = dict.fromkeys("xy", arrays["train"].shape[1:3])
    peer = PEERS[options.model](options.model, shapes, settings["hidden"])
    limit = {"epochs": options.epochs, "seconds": options.seconds}
    spent = train(peer, arrays, settings, limit)
    answers = answer(peer, arrays, settings)
    parameters = sum(each.numel() for each in peer.parameters())
    facts = {**spent, "parameters": parameters, "tasks": peer.tasks}
    partial = options.out.with_name(f".{options.out.stem}.partial.npz")
    np.savez_compressed(partial, facts=np.array(json.dumps(facts)), **answers)
    os.replace(partial, options.out)


if __name__ == "__main__":
    main()
