"""What is the default? `default` answers, from facts of the pairs alone."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

from wyner_keras import losses
from wyner_keras.data import Facts
from wyner_keras.latents import Categorical, DiagonalGaussian
from wyner_keras.modality import CodecSettings, Modality, Whole
from wyner_keras.recipe import Recipe, StageSettings
from wyner_keras.schedules import Ramp
from wyner_keras.side import SideSettings

_SMALL = 256  # values of an example up to which it is small: the 8×8 digits, say
_FEW, _MANY = 10_000, 50_000  # pairs that epochs were chosen with, of small examples and others
_FEW_IMAGES, _DIGITS = 5_000, 1_437  # pairs up to which experts read images; rows of 8×8 digits


def default(facts: Facts, *, seed: int = 0) -> Recipe:
    """The recipe that works best, for the data at hand.

    Alignment of experts of z, by telling partners from strangers; self-training by singles; joint;
    flows of u and v; marginal, which distils q(z|x,y) into readers; refinement, of the decoders.

    Args:
        facts: of the pairs, `pairs.facts()`.
        seed: of weights, order and noise.

    Returns:
        The recipe: about 25 minutes of a core for 50,000 pairs of 28×28, two for 2,000 of 8×8.
    """
    sizes = [math.prod(modality.shape) for modality in facts.modalities]
    small = max(sizes) <= _SMALL
    shown = facts.pairs + max(facts.singles)  # singles beside another; to the alignment pairs alone

    def lasting(count: int, batch_size: int, seen: int = shown) -> dict[str, Any]:
        """Epochs, passes in each, and batch size of a stage that takes `count` passes of many."""
        # Fewer pairs make shorter epochs: more of them, but not as many more.
        share = (_FEW if small else _MANY) / seen
        more = min(8.0, share**0.75) if share > 1 else max(0.1, share**0.5)
        batch_size = max(1, min(batch_size, seen // 4))
        whole, steps = max(1, round(count * more)), seen // batch_size
        # An epoch costs time of its own: one of few steps takes several passes.
        passes = 1 if steps >= 16 else max(1, min(whole // 8, 64 // steps))
        return {"epochs": -(-whole // passes), "passes": passes, "batch_size": batch_size}

    width, rate, own, size = (256, 2e-3, "features", 16) if small else (512, 1e-3, "data", 64)
    variance = 0.07 if small else 0.04  # of 2ε² at the end
    # Few images: experts read them, not codes, and alignment changes both sides of a pair alike.
    images = all(isinstance(each, Whole) and len(each.shape) == 3 for each in facts.modalities)
    whole = images and not (small or facts.classes) and facts.pairs <= _FEW_IMAGES
    few, price = max(1, min(256, facts.pairs // 4)), 0.01 if whole else 0.1  # λ
    many_steps = {"epochs": max(40, 480 * few // facts.pairs), "batch_size": few}
    told = (facts.classes or 0) > 1  # z has a value a class; otherwise the alignment finds z
    wide = not (told or small or whole)
    detailed = small and not told and min(sizes) >= 24  # values: takes longer to be told, or drawn
    columns = all(len(modality.shape) == 1 for modality in facts.modalities)
    passes = 8 if not small else 30 if detailed and facts.pairs >= 10 * sum(sizes) else 10
    longer = 4 if whole or (detailed and columns) else 1
    falling, at_end = Ramp(start=rate, end=3e-5), Ramp(start=variance, end=variance)
    alignment = StageSettings(
        name="alignment",
        loss=losses.Alignment(
            dimensions=size, price=price, find=not told, experts_read=not small, widened=wide
        ),
        **(many_steps if whole else lasting(passes, 500, facts.pairs)),
        learning_rate=Ramp(start=1e-3, end=3e-5, begin=0.4) if whole else falling,
    )
    self_training = StageSettings(
        name="self_training",
        loss=losses.SelfTraining(),
        **lasting(20 if small else 4, 128),
        learning_rate=Ramp(start=2e-3, end=3e-5, begin=0.3),
    )
    joint = StageSettings(
        name="joint",
        # Legible samples are the refinement's business: here more would cost reconstruction.
        loss=losses.Joint(concept_noise=0.3 if small else 0.5, widened=wide),
        **lasting(longer * (14 if small else 16), 256),
        learning_rate=falling,
        two_epsilon_squared=Ramp(start=0.2, end=variance, finish=0.8),
    )
    # Where z is a quantity, experts learn what telling pairs apart does not ask of them.
    widening = replace(joint, name="widening", loss=losses.Widening(), **lasting(12, 256))
    flow = StageSettings(
        name="flow",
        loss=losses.Matching(of_quantity=False if wide else None),
        **lasting(80 if small else 28 if whole else 110, 512),  # few images are learnt by heart
        learning_rate=Ramp(start=1e-3, end=3e-5, begin=0.4),
        average=0.999,
    )
    of_quantity = replace(flow, name="flow_of_quantity", loss=losses.Matching(of_quantity=True))
    of_quantity = replace(of_quantity, **lasting(36, 512))
    reading = replace(flow, name="reading", loss=losses.ReaderMatching(), **lasting(60, 512))
    marginal = StageSettings(
        name="marginal",
        loss=losses.Marginal(distillation_weight=50.0 if small else 1000.0),
        **lasting(2 if small else 8, 256 if small else 128),
        learning_rate=Ramp(start=2e-3, end=3e-5, begin=0.3),
        two_epsilon_squared=at_end,
    )
    refinement = StageSettings(
        name="refinement",
        loss=losses.Refinement(concept_weight=20.0 if small else 2000.0),
        **lasting(2 if small else 8, 256),
        learning_rate=Ramp(start=0.3 * rate, end=3e-5),
        two_epsilon_squared=at_end,
    )
    order = (alignment, *[self_training] * any(facts.singles), joint)
    order += (widening, flow, of_quantity, marginal, reading) if wide else (flow, marginal)
    return Recipe(
        z=Categorical(n=1, k=max(2, facts.classes or 0)),
        sides={
            name: SideSettings(
                local=DiagonalGaussian(dim=_local_size(modality)),
                hidden=(width,) * 3,
                expert="data" if whole else "features",
                reader="expert" if whole else own if len(modality.shape) > 1 else "features",
                reader_flow_steps=3 if wide else 0,
                skip=small and not told,
            )
            for name, modality in zip("xy", facts.modalities, strict=True)
        },
        codecs=dict(zip("xy", map(_codec, facts.modalities, facts.rows), strict=True)),
        stages=(*order, refinement),
        seed=seed,
    )


def _local_size(modality: Modality) -> int:
    """Dimensions of u: of few columns one each, for its noise."""
    values = math.prod(modality.shape)
    few = values if len(modality.shape) == 1 else max(1, values // 2)
    return min(16, few) if values <= _SMALL else 32


def _codec(modality: Modality, rows: int) -> CodecSettings | None:
    """The codec of a side's own data, whatever the other side's; longer where rows are few."""
    values = math.prod(modality.shape)
    if len(modality.shape) == 1:  # columns
        size, noise, epochs, batch, usual = min(64, max(2, values)), 0.1, 32, 64, _DIGITS
    elif values <= _SMALL:
        size, noise, epochs, batch, usual = 24, 0.25, 32, 64, _DIGITS
    else:
        size, noise, epochs, batch, usual = 64 if values <= 3072 else 128, 0.06, 14, 128, 60_000
    epochs = max(1, round(epochs * max(0.25, min(8.0, (usual / rows) ** 0.6))))
    return CodecSettings(code_size=size, noise=noise, epochs=epochs, batch_size=batch)
