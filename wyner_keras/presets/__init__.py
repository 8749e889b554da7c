"""Presets: trained models handed on in a folder, with a card whose figures can be run again.

What a preset's folder holds is in `wyner_serving.presets`, which finds them and needs no Keras.
"""

from wyner_keras.presets.card import Card
from wyner_keras.presets.checking import Checked, Compared, check
from wyner_keras.presets.handing_on import load, push, write
from wyner_keras.presets.stepped import stepped

__all__ = ["Card", "Checked", "Compared", "check", "load", "push", "stepped", "write"]
