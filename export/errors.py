"""What goes wrong while a bundle is written; what is wrong with one is a `BundleError`."""


class ExportError(RuntimeError):
    """A bundle could not be written: an engine refused a graph, or engines disagree."""
