"""Errors a user can mend. The command line prints them as one line and exits with status 2."""

DISTRIBUTION = "code-switching-training"  # on the package index, where csr is another project


def install(extra: str) -> str:
    """The command that installs what an extra of setup.cfg holds.

    >>> install("eval")
    "pip install 'code-switching-training[eval]'"
    """
    return f"pip install '{DISTRIBUTION}[{extra}]'"


class CsrError(Exception):
    """Base of the errors that say what was found and what was expected."""

    def __str__(self) -> str:
        """The message in one line: what is found in a file may hold line ends and codes that a terminal obeys."""
        return "".join(c if c.isprintable() else repr(c)[1:-1] for c in super().__str__())


class DataError(CsrError):
    """A file does not hold what it should: ``train.de:17: expected ..., found ...``."""


class ConfigError(CsrError):
    """A setting is unknown, has the wrong type or contradicts another: ``noise.rate: ...``."""
