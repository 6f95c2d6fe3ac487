"""Scores of system outputs."""
