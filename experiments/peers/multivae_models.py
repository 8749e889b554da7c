"""MultiVae's models, with this comparison's networks, asked what this comparison asks."""

from __future__ import annotations

import sys
from collections.abc import Callable
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
        device: of PyTorch, where the model is and its images should be.
    """

    def __init__(
        self, name: str, shapes: dict[str, tuple[int, ...]], hidden: list[int], device: str
    ) -> None:
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
        self.model = model(settings, encoders=encoders, decoders=decoders, **more).to(device)
        self.model.device = torch.device(device)
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
        return self.model.decode(self._encoded(given, side), other)[other]

    def mean(self, given: torch.Tensor, side: str) -> torch.Tensor:
        """Means of the shared latent given one side, `(n, latent)`."""
        return self._encoded(given, side, return_mean=True).z

    def _encoded(self, given: torch.Tensor, side: str, **how: bool) -> ModelOutput:
        self.model.eval()
        # Some models run all encoders, whatever is conditioned on.
        other = OTHER[side]
        unused = torch.zeros(len(given), *self.model.input_dims[other], device=given.device)
        data = MultimodalBaseDataset({side: given, other: unused})
        return self.model.encode(data, cond_mod=side, **how)

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

    def __init__(
        self, name: str, shapes: dict[str, tuple[int, ...]], hidden: list[int], device: str
    ) -> None:
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
            ).to(device)

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
