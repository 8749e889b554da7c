"""A tiny model and its bundle, for tests: `python tests/tools/tiny_bundle.py FOLDER` writes it."""

import os
import sys

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")


def tiny_model(y_shape=None, **settings):
    """A W-model of 8x8 images with a wrapper, flows and weights that show; settings override.

    With a `y_shape`, images of y have that shape and a wrapper of their own.
    """
    import numpy as np

    from wyner_keras.latents import Categorical, DiagonalGaussian
    from wyner_keras.models import WynerConfig, WynerModel
    from wyner_keras.networks import ConvAutoencoder

    wrapper = ConvAutoencoder((8, 8, 1), code_size=3, filters=(2, 3))
    wrapper.build()
    if y_shape is not None:
        of_y = ConvAutoencoder(y_shape, code_size=4, filters=(3, 2))
        of_y.build()
        wrapper = wrapper, of_y
    values = {
        "z": Categorical(n=1, k=3),
        "u": DiagonalGaussian(dim=2),
        "v": DiagonalGaussian(dim=4),
        "hidden": (8,),
        "joint_local": "xz",
        "residual": True,
        # Each step is a hundred nodes to trace and to convert.
        "flow_steps": 1,
    }
    model = WynerModel(WynerConfig(**values | settings), wrapper=wrapper)
    rng = np.random.default_rng(0)
    for variable in model.trainable_variables:
        scale = 0.7 / np.sqrt(variable.shape[0])
        variable.assign(scale * rng.normal(size=variable.shape))
    return model


def tiny_images():
    """Seven images of x and of y."""
    import numpy as np

    rng = np.random.default_rng(1)
    return tuple(rng.random((7, 8, 8, 1), dtype=np.float32) for _ in "xy")


def tiny_answers(model, images):
    """Arguments of each graph of a model, and Keras' results."""
    from wyner_export.examples import examples
    from wyner_export.graphs import graphs_of
    from wyner_export.manifest import latent_entry

    graphs = {graph.name: graph for graph in graphs_of(model)}
    return examples(
        tuple(graphs.values()),
        dict(zip("xy", images, strict=True)),
        {name: latent_entry(getattr(model.config, name)) for name in "zuv"},
        lambda name, inputs: graphs[name].run(inputs),
    )


def write_tiny_bundle(model, path):
    """The bundle of a tiny model."""
    from wyner_export import write_bundle

    return write_bundle(
        model,
        path,
        images=tiny_images(),
        name="tiny",
        label_map={"0": 1, "1": 2, "2": 0},
        metrics={"figures": {"joint_coherence": {"model": 0.5, "real": 1.0}}},
        nats={"i_xy_z": 1.0, "i_x_z": 0.75, "i_y_z": 0.5},
    )


if __name__ == "__main__":
    write_tiny_bundle(tiny_model(), sys.argv[1])
