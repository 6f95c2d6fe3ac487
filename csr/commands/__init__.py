"""The subcommands of ``csr``: parsers and printing, no logic."""
