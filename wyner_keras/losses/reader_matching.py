"""After stage 2: the flows by which z given x need not be Gaussian."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import keras
from keras import ops

from wyner_keras.data.checks import check_not_negative
from wyner_keras.losses.loss import Draw, Loss, rows_of
from wyner_keras.model import WynerModel
from wyner_keras.received import received
from wyner_keras.side import Side

Tensor = Any


@keras.saving.register_keras_serializable(package="wyner_keras")
@dataclass(frozen=True, kw_only=True)
class ReaderMatching(Loss):
    """Fit flows from noise to what q(z|x) and q(z|y) should make of it; all else is as it is.

    z given x is E[q(z|x,y) | x]. Where x leaves open which of two things y is, a Gaussian q(z|x)
    covers what lies between them, and decoders that never saw such a z make ghosts of it. A flow
    takes ε ~ N(0, I) to the noise η of which q(z|x) makes z ~ q(z|x,y), given the features of x. It
    is learnt by flow matching: E ‖v(y, θ, x) − (cos θ · η − sin θ · ε)‖² on
    y = cos θ · ε + sin θ · η, and the same for y.

    Args:
        feature_noise: deviation of noise on the features that the flows read while they are
            trained, so that they do not learn the partner of each pair.

    Source: Lipman et al., Flow matching for generative modeling, 2023.
    """

    feature_noise: float = 0.1

    def __post_init__(self) -> None:
        check_not_negative(self.feature_noise, "`feature_noise`")

    def trained(self, model: WynerModel) -> list[keras.layers.Layer]:
        """The readers' flows.

        Raises:
            ValueError: if the model has none.
        """
        flows = [side.reader_flow for side in _sides(model)]
        if not flows:
            steps = [side.settings.reader_flow_steps for side in model.sides]
            raise ValueError(
                "ReaderMatching needs a model with `reader_flow_steps` of at least 1 and a z of "
                f"prior N(0, I). Received: reader_flow_steps={received(steps)}, "
                f"z={received(model.z)}"
            )
        return flows

    def reads(self, model: WynerModel) -> bool:
        """Where a reader does."""
        return any(side.reads_data for side in _sides(model))

    def adapted(self, model: WynerModel, pairs: Any) -> ReaderMatching | None:
        """None where readers have no flows."""
        return self if _sides(model) else None

    def weights(self, model: WynerModel) -> dict[str, Any]:
        """1 for each."""
        return {f"matching_z_{side.name}": 1.0 for side in _sides(model)}

    def __call__(
        self, model: WynerModel, batch: Mapping[str, Tensor], draw: Draw, training: bool
    ) -> dict[str, Tensor]:
        """Squared units of the noise, `(batch,)`."""
        h, batch, terms = model.features_of(batch), model.with_experts(batch), {}
        joint, rows = model.joint_z(batch), rows_of(h)
        for side in _sides(model):
            if side.reader_network is None:  # the expert is the reader, and was asked before
                own = model.z.product(batch[f"{side.name}_expert"])  # q(z|x)
            else:
                own = side.read(batch.get(side.name), h[side.name])
            end = own.noise_of(draw(model.z, joint, exact=True))  # η, of z ~ q(z|x,y)
            start = draw.prior(model.z, rows)  # ε, as p(z) is N(0, I)
            features = h[side.name]
            if training and self.feature_noise:
                features = features + self.feature_noise * draw.normal(ops.shape(features))
            time = side.reader_flow.times_of(rows)
            terms[f"matching_z_{side.name}"] = side.reader_flow.matching_error(
                start, end, features, time
            )
        return terms


def _sides(model: WynerModel) -> list[Side]:
    """Those whose reader has a flow."""
    return [side for side in model.sides if side.reader_flow is not None]
