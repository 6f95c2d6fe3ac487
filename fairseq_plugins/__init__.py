"""Tasks of ours for fairseq: ``--user-dir fairseq_plugins`` registers them."""

from fairseq_plugins import checkpoints, restore, translation

__all__ = ["checkpoints", "restore", "translation"]
