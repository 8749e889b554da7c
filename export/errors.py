"""What goes wrong while a bundle is written or checked."""


class ExportError(RuntimeError):
    """A bundle could not be written: an engine refused a graph, or engines disagree."""


class BundleError(ValueError):
    """A bundle is not what its manifest says."""
