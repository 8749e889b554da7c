"""Every latent family of the package, by the name that a bundle's manifest has for it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from wyner_keras.latents import Categorical, DiagonalGaussian, Latent
from wyner_keras.product import Product

_FAMILIES = {"categorical": Categorical, "gaussian": DiagonalGaussian, "product": Product}


def latent_of(entry: Mapping[str, Any]) -> Latent | None:
    """The family that a bundle's manifest describes; None for one that is not of the package.

    Example:
        >>> latent_of(DiagonalGaussian(dim=3).describe())
        DiagonalGaussian(dim=3)
    """
    family: Any = _FAMILIES.get(entry["family"])
    return family and family.described(entry)
