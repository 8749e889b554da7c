"""CVAE: p(y|x) and p(x|y), each with a latent of its own; the paper's comparison."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, ClassVar

import keras
from keras import ops

from wyner_keras.models.pair import PairModel
from wyner_keras.models.pair_config import PairConfig
from wyner_keras.models.stage import Stage
from wyner_keras.models.tasks import OTHER, Tasks
from wyner_keras.networks import MLP

Tensor = Any


@keras.saving.register_keras_serializable(package="wyner_keras")
@dataclass(frozen=True, kw_only=True)
class CVAEConfig(PairConfig):
    """What a CVAE is made of: `PairConfig`'s settings, with a latent for either direction.

    Raises:
        ValueError: if `u` or `v` is None, or for what `PairConfig` refuses.

    Example:
        >>> CVAEConfig(hidden=(64,)).v
        DiagonalGaussian(dim=32)
    """

    def __post_init__(self) -> None:
        super().__post_init__()
        self._check_latent("u", optional=False)
        self._check_latent("v", optional=False)


@keras.saving.register_keras_serializable(package="wyner_keras")
class CVAE(Tasks):
    """Conditional variational autoencoders, one in each direction, that share nothing.

    y given x: v ~ p(v|x), y = y_θ(v, x), with recognition q(v|x,y); x given y: u ~ p(u|y),
    x = x_θ(u, y), with q(u|x,y). There is neither joint generation, since neither side has
    a marginal distribution, nor style transfer, since a style is not told from what is given.

    Args:
        config: the settings.
        wrapper: as in `PairModel`.

    Raises:
        ValueError: if a wrapper's image shape contradicts the settings.

    Example:
        >>> model = CVAE(CVAEConfig(x_shape=(8, 8, 1), y_shape=(8, 8, 1)))
        >>> model.generate_y(np.zeros((3, 8, 8, 1), "float32"), seed=0).shape
        (3, 8, 8, 1)

    Source: Sohn et al., Learning structured output representation using deep conditional
    generative models, 2015.
    """

    config_type: ClassVar[type[PairConfig]] = CVAEConfig
    tasks: ClassVar[tuple[str, ...]] = ("conditional",)

    def make_parts(self) -> None:
        """Create and build priors, recognition networks and decoders."""
        config = self.config
        seeds = iter(range(config.seed * 1000 + 1, config.seed * 1000 + 100))

        def network(outputs: int, *widths: int, bounded: bool = False) -> MLP:
            part = MLP(
                outputs,
                config.hidden,
                output_activation="sigmoid" if bounded else None,
                seed=next(seeds),
            )
            part.build([(None, width) for width in widths])
            return part

        size_x, size_y = self.feature_size("x"), self.feature_size("y")
        bounded = self.wrapper_x is None
        u, v = config.u, config.v
        self.prior_u = network(u.parameter_size, size_y)
        self.prior_v = network(v.parameter_size, size_x)
        self.recognition_u = network(u.parameter_size, size_x, size_y)
        self.recognition_v = network(v.parameter_size, size_y, size_x)
        self.decoder_x = network(size_x, u.size, size_y, bounded=bounded)
        self.decoder_y = network(size_y, v.size, size_x, bounded=bounded)

    @property
    def parts(self) -> list[keras.layers.Layer]:
        """All that is trained."""
        return [
            *(self.prior_u, self.recognition_u, self.decoder_x),
            *(self.prior_v, self.recognition_v, self.decoder_y),
        ]

    def prior(self, given: Tensor, side: str) -> Tensor:
        """Parameters of p(u|y) (side "x") or p(v|x) (side "y"), of the other side's features."""
        return (self.prior_u if side == "x" else self.prior_v)(given)

    def recognition(self, own: Tensor, given: Tensor, side: str) -> Tensor:
        """Parameters of q(u|x,y) (side "x") or q(v|x,y) (side "y"), of features."""
        return (self.recognition_u if side == "x" else self.recognition_v)([own, given])

    def decode_code(self, code: Tensor, given: Tensor, side: str) -> tuple[Tensor, None]:
        """Mean features x_θ(u, y) or y_θ(v, x); the second result, a log variance, is None."""
        decoder = self.decoder_x if side == "x" else self.decoder_y
        return ops.cast(decoder([code, given]), "float32"), None

    def conditional_graph(
        self, side: str, given: Tensor, noise_z: Tensor, noise_local: Tensor
    ) -> Tensor:
        """Images of the other side: v ~ p(v|x), then the decoder; `noise_z` has no columns."""
        del noise_z
        other = OTHER[side]
        family: Any = self.local(other)
        features = self.features(given, side)
        code = family.sample(self.prior(features, other), noise_local)
        return self.images(self.decode_code(code, features, other)[0], other)

    def call(self, inputs: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
        """Reconstructed images of a batch of pairs, at the modes of the recognition networks."""
        features = {
            side: self.features(images, side) for side, images in zip("xy", inputs, strict=True)
        }
        reconstructions = []
        for side, other in OTHER.items():
            family: Any = self.local(side)
            code = family.mode(self.recognition(features[side], features[other], side))
            decoded, _ = self.decode_code(code, features[other], side)
            reconstructions.append(self.images(decoded, side))
        return tuple(reconstructions)


@keras.saving.register_keras_serializable(package="wyner_keras")
class CVAEStage(Stage):
    """Train a `CVAE`, both directions side by side.

    Minimises, in nats per example, D(q(v|x,y) ‖ p(v|x)) + ‖y − y_θ(v,x)‖² / 2ε² and the same for
    x with u. The variables `temperature` and `two_epsilon_squared` may be scheduled.

    Args:
        model: the CVAE to train.

    Example:
        >>> stage = CVAEStage(model)
        >>> stage.compile(optimizer="adam")
        >>> history = stage.fit(pairs, epochs=3)

    Source: Sohn et al., 2015, eq. (4).
    """

    term_names = ("kl_u", "kl_v", "reconstruction_x", "reconstruction_y")
    model_type: ClassVar[type[PairModel]] = CVAE

    @property
    def parts(self) -> Iterable[keras.layers.Layer]:
        """All parts."""
        return self.model.parts

    def weights_of_terms(self) -> dict[str, Any]:
        """1 for each term."""
        return dict.fromkeys(self.term_names, 1.0)

    def terms(self, x: Tensor, y: Tensor, training: bool) -> dict[str, Tensor]:
        """Loss terms of a batch, images or features, nats per example `(batch,)`."""
        model = self.model
        targets = {"x": x, "y": y}
        features = {side: model.features(target, side) for side, target in targets.items()}
        terms = {}
        for side, name in (("x", "u"), ("y", "v")):
            given = features[OTHER[side]]
            family: Any = model.local(side)
            # q(v|x,y)
            posterior = model.recognition(features[side], given, side)
            code = self.draw(family, posterior, self.batch_count(x))
            terms[f"kl_{name}"] = family.kl_between(posterior, model.prior(given, side))
            terms[f"reconstruction_{side}"] = self.reconstruction(
                targets[side], features[side], code, given, side
            )
        return terms
