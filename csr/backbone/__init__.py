"""Pretrained models: presets of mBART-cc25 and mBART-50, checkpoints that run no code, Hugging Face in and out."""
