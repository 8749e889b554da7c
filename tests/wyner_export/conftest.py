import pytest
import tensorflow as tf

from wyner_export.graphs import graphs_of
from wyner_export.parity import Parity
from wyner_export.rounding import conditioning


@pytest.fixture(scope="session")
def loaded(bundle):
    """The SavedModel of the tiny model's bundle."""
    return tf.saved_model.load(str(bundle / "saved_model" / "wyner" / "1"))


@pytest.fixture(scope="session")
def parity(loaded, tiny, tiny_answers):
    """The gate of the tiny model's bundle, Keras the reference."""
    return Parity("Keras", tiny_answers, conditioning(loaded, graphs_of(tiny), tiny_answers))
