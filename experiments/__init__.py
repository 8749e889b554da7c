"""Experiments on the library: the paper's figures, studies, theory and peers. Not installed.

Run from the repository's root, for instance `python -m experiments.figures --figure 4`.
"""
