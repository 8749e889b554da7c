"""Errors of the runtime: they say what was expected and received."""


class InputError(ValueError):
    """An argument is not as it should be; nothing was computed."""


class BundleError(ValueError):
    """A bundle is missing, truncated, altered, of a newer format, or names paths outside it."""


class ServingError(RuntimeError):
    """A server cannot be reached, refused a request, or answered something else than expected.

    Args:
        message: what was expected, and what the server said.
        code: HTTP status, or the name of a gRPC status; None where no answer came.
    """

    def __init__(self, message: str, code: int | str | None = None) -> None:
        super().__init__(message)
        self.code = code
