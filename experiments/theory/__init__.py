"""The base model's estimates of common information beside closed forms.

Nothing is imported here, so that `python -m experiments.theory --help` needs no TensorFlow.
"""
