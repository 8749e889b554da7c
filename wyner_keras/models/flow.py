"""Stage 1, its second half: the flow that makes the local latents independent of z."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import keras
from keras import ops

from wyner_keras import objectives
from wyner_keras.models.stage import Stage
from wyner_keras.models.wyner import WynerModel

Tensor = Any


@keras.saving.register_keras_serializable(package="wyner_keras")
class FlowStage(Stage):
    """Fit flows between U, V and their decoders; everything else stays as it is.

    Minimises, in nats per example, D(q(u|x,z) ‖ p(u)) + D(q(v|y,z) ‖ p(v)), the joint stage's own
    terms, over the flows F alone. They are least when the local posterior, averaged over the data
    of any one concept, is N(0, I): what independence of U and Z asks for, and what makes samples
    of p(u) decode like data. Reconstructions do not change. Many flows are as good; of them the
    term η E‖x_θ(u, z') − d(h, z')‖², h = F(u; z) the local encoder's sample, d the decoder after
    the flow and z' another example's concept, asks for those under which a style, taken to another
    concept, looks as it would without flows. The variable `transport_weight` (η) may be scheduled.

    Args:
        model: the W-model whose joint stage is done, with `local_couplings` in its config.
        transport_weight: η at first, at least 0.

    Raises:
        ValueError: if the model has no flows or the weight is negative.

    Example:
        >>> stage = FlowStage(model)
        >>> stage.compile(optimizer="adam")
        >>> history = stage.fit(pairs, epochs=3)

    Source: a conditional form of Dai and Wipf, Diagnosing and enhancing VAE models, 2019, whose
    second stage also fits what the prior becomes to the aggregated posterior.
    """

    term_names = ("kl_u", "kl_v", "transport_u", "transport_v")

    def __init__(
        self,
        model: WynerModel,
        transport_weight: float = 0.1,
        **kwargs: Any,
    ) -> None:
        super().__init__(model, **kwargs)
        if not model.config.local_couplings:
            raise ValueError(
                "FlowStage needs a model with flows, `local_couplings` of at least 1. "
                f"Received: local_couplings={model.config.local_couplings}"
            )
        if not transport_weight >= 0:
            raise ValueError(
                "`transport_weight` should be at least 0. "
                f"Received: transport_weight={transport_weight!r}"
            )
        self.first_transport_weight = transport_weight
        self.transport_weight = self.scheduled("transport_weight", transport_weight)

    @property
    def parts(self) -> Iterable[keras.layers.Layer]:
        """The two flows."""
        return [self.model.flow_u, self.model.flow_v]

    def weights_of_terms(self) -> dict[str, Any]:
        """1 for the divergences, η for the transport."""
        return {
            "kl_u": 1.0,
            "kl_v": 1.0,
            "transport_u": self.transport_weight,
            "transport_v": self.transport_weight,
        }

    def terms(self, x: Tensor, y: Tensor, training: bool) -> dict[str, Tensor]:
        """Loss terms of a batch of pairs, images or features.

        Returns:
            KL terms in nats per example `(batch,)`; transport in squared units of the features, of
            half a batch, `((count + 1) // 2,)`.
        """
        model, count = self.model, self.batch_count(x)
        half = (count + 1) // 2
        features = {"x": model.features(x, "x"), "y": model.features(y, "y")}
        # q(z|x,y)
        parameters = model.joint_z(features["x"], features["y"])[0]
        z = self.draw(model.config.z, parameters, count)
        terms = {}
        for side, other, name in (("x", "y", "u"), ("y", "x", "v")):
            # q(u|x,z), or as the config says
            posterior = model.joint_local(side, features[side], features[other], z)
            family: Any = model.local(side)
            code = self.draw(family, posterior, count)
            local, terms[f"kl_{name}"] = model.pull_back(side, posterior, code, z)
            concept = ops.flip(z[:half], axis=0)
            moved, _ = model.decode(local[:half], concept, side)
            kept, _ = model.decode_code(code[:half], concept, side)
            terms[f"transport_{name}"] = objectives.squared_error(moved, kept)
        return terms

    def get_config(self) -> dict[str, Any]:
        """The model and the weight at first."""
        return {
            **super().get_config(),
            "transport_weight": self.first_transport_weight,
        }
