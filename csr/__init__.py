"""Code-switching training for cross-lingual models."""

__version__ = "0.1.0"
