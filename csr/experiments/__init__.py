"""Experiments: their settings, the fairseq commands of their stages, and their steps."""
