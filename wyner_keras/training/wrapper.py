"""A recipe's wrapper, trained."""

from __future__ import annotations

from typing import Any

from wyner_keras.data import ImageSource
from wyner_keras.networks import ConvAutoencoder
from wyner_keras.training.settings import Recipe

# One for both sides, or a pair: for x, for y.
Wrapper = ConvAutoencoder | tuple[ConvAutoencoder, ConvAutoencoder]


def train_wrapper(
    source: ImageSource, recipe: Recipe, *, side: str = "x", verbose: Any = "auto"
) -> tuple[ConvAutoencoder | None, dict[str, list[float]]]:
    """Train the recipe's autoencoder on a source's training images.

    Args:
        source: labelled images; only `source.train` is read.
        recipe: what to build and how to train it.
        side: "x", or "y" for the settings that the recipe has for a source of y's own.
        verbose: of Keras' progress bars.

    Returns:
        The frozen wrapper (None where the recipe has none) and its history.
    """
    settings = (side == "y" and recipe.wrapper_y) or recipe.wrapper
    if settings is None:
        return None, {}
    wrapper = ConvAutoencoder(
        source.train.image_shape,
        code_size=settings.code_size,
        filters=settings.filters,
        noise=settings.noise,
        slant=settings.slant,
        seed=recipe.config.seed,
    )
    history = wrapper.train(
        source.train.images,
        epochs=settings.epochs,
        batch_size=settings.batch_size,
        verbose=verbose,
    )
    return wrapper, history
