"""What is the default? `default` answers, from facts of the pairs alone."""

from __future__ import annotations

import math

from wyner_keras.data import Facts
from wyner_keras.latents import Categorical, DiagonalGaussian
from wyner_keras.losses import Alignment, Joint, Marginal, Matching, Refinement
from wyner_keras.modality import CodecSettings, Modality
from wyner_keras.model import SideSettings
from wyner_keras.schedules import Ramp
from wyner_keras.training import Recipe, StageSettings

# Values of an example up to which it is small: the 8×8 digits, say.
_SMALL = 256
# Pairs that the epochs below were chosen with, of small examples and of others.
_FEW, _MANY = 10_000, 50_000
_MOST_VALUES = 65  # of z, where its number of values is to be found


def default(facts: Facts, *, seed: int = 0) -> Recipe:
    """The recipe that works best, for the data at hand.

    Maximal-correlation alignment of the experts of z; the joint stage, with Gaussian u and v, a
    residual model and falling 2ε²; flows of u and v; the marginal stage, which distils q(z|x,y)
    into the readers; and a refinement of the decoders, whose concept the readers read.

    Args:
        facts: of the pairs, `pairs.facts()`.
        seed: of weights, order and noise.

    Returns:
        The recipe. About 25 minutes of one core for 50,000 pairs of 28×28 images, two minutes for
        2,000 of 8×8.
    """
    small = max(math.prod(modality.shape) for modality in facts.modalities) <= _SMALL
    names = ("x", "y")
    learned = dict(zip(names, map(_codec, facts.modalities), strict=True))
    images = [len(modality.shape) > 1 for modality in facts.modalities]

    # Fewer pairs make shorter epochs: more of them, but not as many more.
    share = (_FEW if small else _MANY) / facts.pairs
    more = min(8.0, share**0.75) if share > 1 else max(0.1, share**0.5)

    def epochs(count: int) -> int:
        return max(1, round(count * more))

    def batch(size: int) -> int:
        return max(1, min(size, facts.pairs // 4))

    width, rate = (256, 2e-3) if small else (512, 1e-3)
    variance = 0.07 if small else 0.04  # of 2ε² at the end
    # Values of z: one a class, or as many as there turn out to be.
    found = facts.classes is None or facts.classes < 2
    values = min(_MOST_VALUES, max(4, facts.pairs // 8)) if found else facts.classes
    falling = Ramp(start=rate, end=3e-5)
    at_end = Ramp(start=variance, end=variance)

    alignment = StageSettings(
        name="alignment",
        loss=Alignment(functions=values - 1 if found else values + 6, find_values=found),
        epochs=epochs(10 if small else 8),
        batch_size=batch(500),
        learning_rate=falling,
        jit_compile=not small,
    )
    joint = StageSettings(
        name="joint",
        # Legible samples are the refinement's business: here more would cost reconstruction.
        loss=Joint(concept_weight=2.0, concept_noise=0.3 if small else 0.5),
        epochs=epochs(14 if small else 16),
        batch_size=batch(256),
        learning_rate=falling,
        two_epsilon_squared=Ramp(start=0.2, end=variance, finish=0.8),
        jit_compile=not small,
    )
    flow = StageSettings(
        name="flow",
        loss=Matching(),
        epochs=epochs(80 if small else 110),
        batch_size=batch(512),
        learning_rate=Ramp(start=1e-3, end=3e-5, begin=0.4),
        average=0.999,
        jit_compile=not small,
    )
    # In these two XLA slows convolutions down on a CPU.
    marginal = StageSettings(
        name="marginal",
        loss=Marginal(distillation_weight=50.0 if small else 1000.0),
        epochs=epochs(2 if small else 8),
        batch_size=batch(256 if small else 128),
        learning_rate=Ramp(start=2e-3, end=3e-5, begin=0.3),
        two_epsilon_squared=at_end,
    )
    refinement = StageSettings(
        name="refinement",
        loss=Refinement(concept_weight=20.0 if small else 2000.0),
        epochs=epochs(2 if small else 8),
        batch_size=batch(256),
        learning_rate=Ramp(start=0.3 * rate, end=3e-5),
        two_epsilon_squared=at_end,
    )
    return Recipe(
        z=Categorical(n=1, k=values),
        sides={
            name: SideSettings(
                local=DiagonalGaussian(dim=_local_size(modality)),
                hidden=(width,) * 3,
                reader="data" if of_grid and not small else "features",
            )
            for name, modality, of_grid in zip(names, facts.modalities, images, strict=True)
        },
        codecs=learned,
        stages=(alignment, joint, flow, marginal, refinement),
        seed=seed,
    )


def _local_size(modality: Modality) -> int:
    """Dimensions of u: half of what the codec has, at most 64."""
    values = math.prod(modality.shape)
    return 16 if 24 <= values <= _SMALL else max(1, min(32, values // 2))


def _codec(modality: Modality) -> CodecSettings | None:
    """The codec of a side's own data, whatever the other side's."""
    values = math.prod(modality.shape)
    if len(modality.shape) == 1:  # columns
        return CodecSettings(
            code_size=min(64, max(2, values)), noise=0.1, epochs=32, batch_size=64
        )
    if values <= _SMALL:
        return CodecSettings(code_size=24, filters=(32, 64), noise=0.25, epochs=32, batch_size=64)
    return CodecSettings(code_size=64 if values <= 3072 else 128, noise=0.06, epochs=14)
