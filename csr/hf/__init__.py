"""Switching for models of Hugging Face: the draws of the fairseq plugin in batches of ``transformers``."""

from csr.hf.collator import SwitchingCollator

__all__ = ["SwitchingCollator"]
