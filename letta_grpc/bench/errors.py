"""What can go wrong with a measurement."""


class BenchError(Exception):
    """The measurement says nothing."""


class TokensBrokenError(BenchError):
    """A stream's tokens, or a log's events, did not come each once and in order."""


class NothingMeasuredError(BenchError):
    """Not one stream of a load was good."""


class ProcessFailedError(BenchError):
    """A process of the measurement did not start."""
