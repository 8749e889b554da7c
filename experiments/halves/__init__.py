"""The W-model and linear baselines on the 8×8 digits' upper and lower rows, by likelihood.

Nothing is imported here, so that `python -m experiments.halves --help` needs no TensorFlow.
"""
