"""Lets fairseq read its checkpoints without letting them run code.

Since torch 2.6, ``torch.load`` refuses every class that is not allowed by name; the one below holds fairseq's
settings. A checkpoint that carries anything else is still refused.
"""

import argparse

import torch

torch.serialization.add_safe_globals([argparse.Namespace])
