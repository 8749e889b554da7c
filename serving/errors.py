"""Errors of the runtime: both are `ValueError`s, and say what was expected and received."""


class InputError(ValueError):
    """An argument is not as it should be; nothing was computed."""


class BundleError(ValueError):
    """A bundle is missing, truncated, altered, of a newer format, or names paths outside it."""
