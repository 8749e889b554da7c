import json

import keras
import pytest

from wyner_keras.latents import Categorical, DiagonalGaussian
from wyner_keras.models import WynerConfig


@pytest.mark.parametrize(
    "config",
    [
        WynerConfig(),
        WynerConfig(z=DiagonalGaussian(dim=3), u=None, v=None, decoder="gaussian"),
        WynerConfig(
            u=Categorical(n=20, k=10), v=DiagonalGaussian(dim=2), hidden=[8, 4], seed=7,
            joint_encoder="free", alignment_weight=0.0, x_shape=[8, 8, 1], y_shape=(4, 4, 3),
        ),
    ],
)  # fmt: skip
def test_settings_come_back_from_json(config):
    data = json.loads(json.dumps(keras.saving.serialize_keras_object(config)))
    assert keras.saving.deserialize_keras_object(data, safe_mode=True) == config
    assert WynerConfig.from_config(json.loads(json.dumps(config.get_config()))) == config


def test_settings_are_frozen_and_sequences_become_tuples():
    config = WynerConfig(hidden=[8, 4], x_shape=[8, 8, 1])
    assert config.hidden == (8, 4)
    assert config.x_shape == (8, 8, 1)
    assert isinstance(hash(config), int)
    with pytest.raises(AttributeError):
        config.seed = 1


@pytest.mark.parametrize(
    ("settings", "match"),
    [
        ({"z": None}, "`z`"),
        ({"z": 10}, "`z`"),
        ({"u": (20, 10)}, "`u`"),
        ({"v": "gaussian"}, "`v`"),
        ({"joint_encoder": "poe"}, "joint_encoder"),
        ({"joint_local": "yz"}, "joint_local"),
        ({"marginal_local": "xy"}, "marginal_local"),
        ({"decoder": "dirac"}, "decoder"),
        ({"prior": "forest"}, "prior"),
        ({"distance": "pixel"}, "distance"),
        ({"common_information_weight": -0.1}, "common_information_weight"),
        ({"common_information_weight": float("nan")}, "common_information_weight"),
        ({"alignment_weight": -1.0}, "alignment_weight"),
        ({"concept_weight": -1.0}, "concept_weight"),
        ({"concept_weight": 1.0, "joint_encoder": "free", "alignment_weight": 0}, "concept_weight"),
        ({"encoder_noise": -1.0}, "encoder_noise"),
        ({"two_epsilon_squared": 0.0}, "two_epsilon_squared"),
        ({"two_epsilon_squared": float("nan")}, "two_epsilon_squared"),
        ({"encoder_dropout": 1.0}, "encoder_dropout"),
        ({"encoder_dropout": -0.1}, "encoder_dropout"),
        ({"joint_encoder": "free"}, "alignment_weight"),
        ({"residual": True, "marginal_local": "x"}, "residual"),
        ({"residual": True, "decoder": "gaussian"}, "residual"),
        ({"decoder": "gaussian", "distance": "pixels"}, "pixels"),
        ({"hidden": ()}, "hidden"),
        ({"hidden": (16, 0)}, "hidden"),
        ({"hidden": (16.0,)}, "hidden"),
        ({"hidden": 512}, "hidden"),
        ({"x_shape": (8, 8)}, "x_shape"),
        ({"y_shape": (8, 0, 1)}, "y_shape"),
        ({"seed": -1}, "seed"),
        ({"seed": 1.5}, "seed"),
        ({"seed": None}, "seed"),
    ],
)
def test_malformed_settings_are_refused(settings, match):
    with pytest.raises(ValueError, match=rf"(?s){match}.*Received|Received.*{match}"):
        WynerConfig(**settings)
