"""Noise that is the same at each call and on each backend."""

import numpy as np


class StillDraw:
    """Draws of one noise for each latent and use, whatever the order; as `losses.Draw`."""

    temperature, two_epsilon_squared, heads = 0.6, 0.05, ()

    def __init__(self):
        self.rng, self.noises = np.random.default_rng(5), {}

    def noise(self, latent, use, count):
        key = latent.size, use
        return self.noises.setdefault(key, latent.draw_noise(self.rng, int(count)))[: int(count)]

    def __call__(self, latent, distribution, exact=False):
        noise = self.noise(
            latent, "exact" if exact else "relaxed", distribution.outputs()[0].shape[0]
        )
        return distribution.sample(noise, None if exact else self.temperature)

    def prior(self, latent, count):
        return latent.prior_sample(self.noise(latent, "prior", count))

    def normal(self, shape):
        return self.noises.setdefault(
            ("normal", shape[-1]), self.rng.standard_normal(tuple(map(int, shape)), "f")
        )

    def uniform(self, shape):
        return self.noises.setdefault("uniform", self.rng.random(tuple(map(int, shape)), "f"))
