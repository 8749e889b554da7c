"""Between alignment and joint stage: what singles teach, where pairs are few."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import keras
import numpy as np
from keras import ops

from wyner_keras.data.checks import check_share
from wyner_keras.latents import of_kinds
from wyner_keras.losses.joint import LEGIBLE, legible, misread
from wyner_keras.losses.loss import Draw, Loss
from wyner_keras.model import WynerModel

Tensor = Any


@keras.saving.register_keras_serializable(package="wyner_keras")
@dataclass(frozen=True, kw_only=True)
class SelfTraining(Loss):
    """Readers that teach themselves: q(z|x) and e(z;x) of a z with kinds, from singles too.

    Minimises −log q(z*|x') − log e(z*;x), normalised with p(z), and the same for y. x' is x as its
    reader sees it while it is trained: an image shifted and sheared, features with noise. z* is the
    most probable kind of q(z|x,y) for partners, and for a single that of q(z|x) of x as it is;
    where it has less than `confidence`, nothing is learnt. q(z|x,y) is that of the experts as the
    stage found them: of experts that learn from singles, kinds would drift into one another.

    Args:
        confidence: probability that the mode has at least.
        share: of the pairs in what is trained on, at least: few come several times.

    Source: FixMatch (Sohn et al., 2020).
    """

    takes_singles: ClassVar[bool] = True
    arrays_suffice: ClassVar[bool] = False

    confidence: float = 0.95
    share: float = 0.25

    def __post_init__(self) -> None:
        check_share(self.confidence, "`confidence`")
        check_share(self.share, "`share`")

    def trained(self, model: WynerModel) -> list[keras.layers.Layer]:
        """Readers and experts."""
        networks = [n for side in model.sides for n in (side.reader_network, side.expert_network)]
        return [network for network in networks if network is not None]

    def reads(self, model: WynerModel) -> bool:
        """Where a reader or an expert does."""
        return any(side.reads_data or side.settings.expert == "data" for side in model.sides)

    def adapted(self, model: WynerModel, pairs: Any) -> SelfTraining | None:
        """None where there are no singles, or z stands for no concept, see `legible`."""
        return self if any(map(len, pairs.singles)) and legible(model, pairs) >= LEGIBLE else None

    def split(self, pairs: Any, seed: int) -> tuple[Any, Any]:
        """Pairs and singles, of which pairs are a share."""
        return pairs.with_singles(self.share), None

    def weights(self, model: WynerModel) -> dict[str, Any]:
        """1 for each."""
        found = {f"reader_{side.name}": 1.0 for side in model.sides if side.reader_network}
        return found | {f"expert_{side.name}": 1.0 for side in model.sides}

    def __call__(
        self, model: WynerModel, batch: Mapping[str, Tensor], draw: Draw, training: bool
    ) -> dict[str, Tensor]:
        """Cross-entropies in nats, 0 where the mode is not sure enough."""
        h, terms = model.features_of(batch), {}
        told = batch.get("told"), batch.get("told_sure")  # by q(z|x,y), before experts learnt
        joint = _mode(model.joint_z(batch)) if told[0] is None else told
        partners = batch.get("partners", ops.ones_like(joint[1], "bool"))
        for side in model.sides:
            data, features = batch.get(side.name), h[side.name]
            own = _mode(side.read(data, features))  # of q(z|x), x as it is
            value = ops.where(partners[:, None], joint[0], own[0])
            sure = ops.where(partners, joint[1], own[1]) >= self.confidence
            if side.reader_network is not None:
                read = side.read(data, features, training)
                terms[f"reader_{side.name}"] = ops.where(sure, misread(model, read, value), 0.0)
            expert = side.expert(side.read_by_expert(data, features), training)
            read = model.z.product(expert)
            terms[f"expert_{side.name}"] = ops.where(sure, misread(model, read, value), 0.0)
        return terms

    def arrays(self, stage: Any, pairs: Any) -> dict[str, Any]:
        """The mode of q(z|x,y) as it is before anything is learnt."""
        model = stage.model
        told = zip(*(_mode(model.joint_z(part)) for part in model.batches(pairs)), strict=True)
        return dict(zip(("told", "told_sure"), map(np.concatenate, told), strict=True))

    def begin(self, stage: Any, pairs: Any) -> None:
        """Start readers of features from the experts."""
        for side in stage.model.sides:
            side.start_reader()


def _mode(distribution: Any) -> tuple[Tensor, Tensor]:
    """The most probable kind `(batch, k)`, and its probability `(batch,)`; constants."""
    kinds = of_kinds(distribution)
    value = ops.stop_gradient(kinds.mode)
    return value, ops.exp(ops.stop_gradient(kinds.log_prob(value)))
