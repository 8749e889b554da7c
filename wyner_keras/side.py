"""One side of the pairs: its networks and what they compute."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Self

import keras
from keras import ops

from wyner_keras.data.checks import check_not_negative, check_number, check_sizes, check_whole
from wyner_keras.latents import DiagonalGaussian, Latent, is_standard_normal
from wyner_keras.modality import Modality, Whole
from wyner_keras.networks import MLP, ContinuousFlow
from wyner_keras.networks.codec import Codec
from wyner_keras.received import received
from wyner_serving.sides import LOCALS

Tensor = Any
_EXPERTS = ("features", "data")
_READERS = ("data", "features", "expert")


@keras.saving.register_keras_serializable(package="wyner_keras")
@dataclass(frozen=True, kw_only=True)
class SideSettings:
    """Settings of one side's networks.

    Args:
        local: the local latent U of x, V of y; None for none.
        hidden: widths of the hidden layers of every network.
        expert: what e(z;x) reads: the "features" of the codec, or the "data" themselves, by the
            modality's own network, which tells apart what a codec leaves out.
        reader: what q(z|x) reads: the "data", by the modality's own network, which reads concepts
            better than a codec's features let it; or the "features"; or the "expert" alone, which
            q(z|x) ∝ p(z) e(z;x) makes do.
        residual: whether features are modelled as an affine map of z plus the rest: the decoder
            adds that map to its output, and q(u|x,z) sees features less it.
        flow_steps: of the flow between u and what the decoder reads, each an evaluation of its
            velocity; 0 goes without. With it q(u|x,z) averaged over the data of one z can be p(u),
            whatever z: independence of U and Z asks for that. Needs a `DiagonalGaussian` local.
        reader_flow_steps: likewise, of a flow between noise and what q(z|x) makes of it, where the
            prior of z is N(0, I): z given x need then not be Gaussian, nor one of two modes their
            mean. 0 goes without; where z is another, it does nothing.
        dropout: rate of the networks of z.
        noise: standard deviation of noise on the features that the networks of z read.
        skip: whether experts and readers of features have a skip connection, an affine map of
            them beside the hidden layers, see `losses.Alignment`.

    Raises:
        ValueError: for a value that is not as said.
    """

    local: Any = field(default_factory=lambda: DiagonalGaussian(dim=32))
    hidden: tuple[int, ...] = (512, 512, 512)
    expert: str = "features"
    reader: str = "data"
    residual: bool = True
    flow_steps: int = 3
    reader_flow_steps: int = 0
    dropout: float = 0.2
    noise: float = 0.3
    skip: bool = False

    def __post_init__(self) -> None:
        if not isinstance(self.local, Latent | None):
            raise ValueError(
                "`local` should be a latent family such as DiagonalGaussian(dim=32), or None. "
                f"Received: local={received(self.local)}"
            )
        hidden = check_sizes(self.hidden, "hidden", "positive integers")
        object.__setattr__(self, "hidden", hidden)
        for name, allowed in (("expert", _EXPERTS), ("reader", _READERS)):
            value = getattr(self, name)
            if not isinstance(value, str) or value not in allowed:
                raise ValueError(
                    f"`{name}` should be one of {allowed}. Received: {name}={received(value)}"
                )
        for name in ("flow_steps", "reader_flow_steps"):
            object.__setattr__(self, name, check_whole(getattr(self, name), f"`{name}`"))
        steps = self.flow_steps
        if steps and (self.local is None or not is_standard_normal(self.local)):
            raise ValueError(
                "`flow_steps` needs a local latent of prior N(0, I), DiagonalGaussian say. "
                f"Received: local={received(self.local)}, flow_steps={steps}"
            )
        if not 0 <= check_number(self.dropout, "`dropout`", "in [0, 1)") < 1:
            raise ValueError(f"`dropout` should be in [0, 1). Received: {self.dropout}")
        check_not_negative(self.noise, "`noise`")

    def get_config(self) -> dict[str, Any]:
        """The settings as JSON-able values."""
        values = {**asdict(self), "hidden": list(self.hidden)}
        return {**values, "local": keras.saving.serialize_keras_object(self.local)}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Self:
        """The settings again, from `get_config`'s values."""
        local = keras.saving.deserialize_keras_object(config["local"])
        return cls(**{**config, "local": local})


class Side(keras.layers.Layer):
    """One side of the pairs: its codec, and the networks between its features, z and its local u.

    Names are those of x: its local latent is u, its networks e(z;x), q(z|x), q(u|x,z), x_θ(u,z).

    Args:
        name: "x" or "y".
        modality: what its data are.
        codec: of that modality, trained.
        z: the common latent.
        settings: of the networks.
        seed: of the initial weights; each network has its own.
    """

    def __init__(
        self,
        name: str,
        modality: Modality,
        codec: Codec,
        z: Latent,
        settings: SideSettings,
        seed: Sequence[int],
    ) -> None:
        super().__init__(name=name)
        self.local_name = LOCALS[name]
        self.modality, self.codec, self.settings = modality, codec, settings
        self.z, self.local = z, settings.local
        codec.trainable = False
        width, seeds = codec.feature_size, dict(zip(_NETWORKS, seed, strict=True))

        def network(kind: str, outputs: int, *inputs: int, **regularised: Any) -> MLP:
            made = MLP(outputs, settings.hidden, seed=seeds[kind], name=kind, **regularised)
            made.build([(None, size) for size in inputs])
            return made

        regularised = {
            "dropout": settings.dropout,
            "noise": settings.noise,
            "skip": settings.skip,
        }
        # Any: None where the expert is the reader.
        self.expert_network: Any
        self.reader_network: Any = None
        if settings.expert == "data":
            if not isinstance(modality, Whole):
                raise ValueError(
                    "`expert` should be 'features' for a modality without `expert` and "
                    f"`augmented`. Received: expert='data', {received(modality)}"
                )
            self.expert_network = modality.expert(z.parameter_size, seeds["expert"])
            self.expert_network.build((None, *modality.shape))
        else:
            self.expert_network = network("expert", z.parameter_size, width, **regularised)
        if settings.reader == "data":
            self.reader_network = modality.reader(z.parameter_size, seeds["reader"])
            self.reader_network.build((None, *modality.shape))
        elif settings.reader == "features":
            self.reader_network = network("reader", z.parameter_size, width, **regularised)
        # Any: None where a side has none.
        self.posterior_network: Any = None
        self.flow: Any = None
        self.reader_flow: Any = None
        self.concept: Any = None
        locals_ = []
        if self.local is not None:
            locals_ = [self.local.size]
            self.posterior_network = network("posterior", self.local.parameter_size, width, z.size)
        self.decoder_network = network("decoder", width, *locals_, z.size)
        if settings.residual:
            self.concept = keras.layers.Dense(width, kernel_initializer="zeros", name="concept")
            self.concept.build((None, z.size))
        if settings.flow_steps:
            self.flow = ContinuousFlow(
                self.local.size, settings.flow_steps, settings.hidden, seed=seeds["flow"]
            )
            self.flow.build((None, z.size))
        if settings.reader_flow_steps and is_standard_normal(z):
            self.reader_flow = ContinuousFlow(
                z.size,
                settings.reader_flow_steps,
                settings.hidden,
                leading=0,
                seed=seeds["reader_flow"],
            )
            self.reader_flow.build((None, width))
        self.built = True

    def encode(self, data: Tensor) -> Tensor:
        """Features `(batch, width)` of examples `(batch, *shape)`."""
        return ops.cast(self.codec.encode(data), "float32")

    @property
    def skipped(self) -> int:
        """How many features skip the expert's hidden layers."""
        skips = self.settings.skip and self.settings.expert == "features"
        return self.codec.feature_size if skips else 0

    @property
    def reads_data(self) -> bool:
        """Whether q(z|x) reads examples, not their features alone."""
        reader = self.settings.reader
        return (self.settings.expert if reader == "expert" else reader) == "data"

    def read_by_expert(self, data: Tensor | None, features: Tensor) -> Tensor:
        """What the expert reads: examples or their features."""
        return data if self.settings.expert == "data" else features

    def expert(self, read: Tensor, training: bool = False) -> Tensor:
        """Parameters of the expert e(z;x), `(batch, parameter_size)`, of `read_by_expert`."""
        return ops.cast(self.expert_network(read, training=training), "float32")

    def read(self, data: Tensor, features: Tensor | None = None, training: bool = False) -> Any:
        """q(z|x) of examples, whose features may be given."""
        reader = self.settings.reader
        if features is None and not self.reads_data:
            features = self.encode(data)
        if reader == "expert":
            return self.z.product(self.expert(self.read_by_expert(data, features), training))
        outputs = self.reader_network(data if reader == "data" else features, training=training)
        return self.z.product(ops.cast(outputs, "float32"))

    def sample_z(self, data: Tensor, noise: Tensor) -> Tensor:
        """Sample z given x, `(batch, size)`: q(z|x), by noise that the reader's flow moves."""
        if self.reader_flow is None:
            return self.read(data).sample(noise)
        features = self.encode(data)
        return self.read(data, features).sample(self.reader_flow(noise, features))

    def start_reader(self) -> None:
        """Start a reader of features from the expert, which has the same weights."""
        if self.settings.reader == self.settings.expert == "features":
            self.reader_network.set_weights(self.expert_network.get_weights())

    @property
    def reader_weights(self) -> list[Any]:
        """The weights of q(z|x), in a fixed order."""
        codec = [] if self.reads_data else self.codec.weights
        network = self.expert_network if self.reader_network is None else self.reader_network
        return [*codec, *network.weights]

    def posterior(self, features: Tensor, z: Tensor) -> Any:
        """q(u|x,z) before the flow: of the code that the decoder reads."""
        # The local describes how x differs from its concept's mean.
        rest = features - ops.stop_gradient(self.mean(z)) if self.concept is not None else features
        return self.local(ops.cast(self.posterior_network([rest, z]), "float32"))

    def mean(self, z: Tensor) -> Tensor:
        """The affine map of z to features, `(batch, width)`; of a residual model."""
        return ops.cast(self.concept(z), "float32")

    def decode(self, code: Tensor | None, z: Tensor) -> Tensor:
        """Mean features x_θ `(batch, width)` of the code, None where there is no local, and z."""
        inputs = [z] if code is None else [code, z]
        features = ops.cast(self.decoder_network(inputs), "float32")
        return features if self.concept is None else features + self.mean(z)

    def code(self, local: Tensor | None, z: Tensor) -> Tensor | None:
        """What the decoder reads of u: the flow's image."""
        return local if self.flow is None else self.flow(local, z)

    def local_of(self, code: Tensor, z: Tensor) -> Tensor:
        """The u that a code stands for: the flow's inverse."""
        return code if self.flow is None else self.flow.inverse(code, z)

    def render(self, local: Tensor | None, z: Tensor) -> Tensor:
        """Examples `(batch, *shape)` of u and z."""
        return self.codec.decode(self.decode(self.code(local, z), z))


# A place of its own for each network's seed.
_NETWORKS = {"expert": 0, "posterior": 1, "reader": 2, "reader_flow": 3, "decoder": 4, "flow": 5}


def seeds_of(seed: int, position: int, sides: int) -> tuple[int, ...]:
    """A seed for each of a side's networks, in the order of `_NETWORKS`."""
    return tuple(1000 * seed + 1 + sides * place + position for place in _NETWORKS.values())
