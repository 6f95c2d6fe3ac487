"""``--arch csr_bart``: a sequence-to-sequence model of an encoder, as ``csr import-hf --decoder-layers`` makes it.

It is fairseq's BART: what normalises stands after what it normalises, as in BERT.
"""

from __future__ import annotations

from argparse import ArgumentParser, Namespace

from fairseq.models import register_model, register_model_architecture
from fairseq.models.bart import BARTModel
from fairseq.models.bart.model import bart_large_architecture
from torch import nn

from csr.backbone.checkpoints import read_checkpoint
from csr.backbone.saved_settings import model_settings
from fairseq_plugins.encoder import EPSILON

_SIZES = ("layers", "embed_dim", "ffn_embed_dim", "attention_heads")
SIZES = (*(f"{side}_{name}" for side in ("encoder", "decoder") for name in _SIZES), "layer_norm_eps")
POSITIONS = ("max_source_positions", "max_target_positions")


@register_model("csr_bart")
class CsrBart(BARTModel):
    """BART whose normalisation has the epsilon of the encoder that it was made of."""

    def __init__(self, args: Namespace, encoder: nn.Module, decoder: nn.Module) -> None:
        super().__init__(args, encoder, decoder)
        for module in self.modules():
            if hasattr(module, "normalized_shape"):  # also where it is apex's
                module.eps = getattr(args, "layer_norm_eps", EPSILON)

    @staticmethod
    def add_args(parser: ArgumentParser) -> None:
        """Add BART's options and the epsilon."""
        BARTModel.add_args(parser)
        parser.add_argument(
            "--layer-norm-eps", type=float, metavar="E", help="epsilon of normalisation (default: 1e-05)"
        )
        parser.add_argument(
            "--sizes-of",
            metavar="FILE",
            help="checkpoint whose sizes and epsilon the model has (default: bart_large's)",
        )


@register_model_architecture("csr_bart", "csr_bart")
def _architecture(arguments: Namespace) -> None:
    """Set what the command line leaves open."""
    checkpoint = getattr(arguments, "sizes_of", None)
    settings = model_settings(read_checkpoint(checkpoint)) if checkpoint else {}
    for name in (*SIZES, *POSITIONS):
        # Tasks have positions too, of which there are as many as the checkpoint has.
        is_open = name in POSITIONS or getattr(arguments, name, None) is None
        if is_open and settings.get(name) is not None:
            setattr(arguments, name, settings[name])
    if getattr(arguments, "layer_norm_eps", None) is None:
        arguments.layer_norm_eps = EPSILON
    bart_large_architecture(arguments)
