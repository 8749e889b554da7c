"""The two sides of a pair."""

OTHER = {"x": "y", "y": "x"}
"""By side the one beside it."""

LOCALS = {"x": "u", "y": "v"}
"""By side the name of its local latent."""
