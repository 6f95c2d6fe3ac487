"""Errors a user can mend. The command line prints them as one line and exits with status 2."""


class CsrError(Exception):
    """Base of the errors that say what was found and what was expected."""


class DataError(CsrError):
    """A file does not hold what it should: ``train.de:17: expected ..., found ...``."""


class ConfigError(CsrError):
    """A setting is unknown, has the wrong type or contradicts another: ``noise.rate: ...``."""
