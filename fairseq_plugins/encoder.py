"""BERT encoders of several sizes: ``--arch csr_bert_tiny`` (mini, small, base, large).

They are fairseq's RoBERTa: learned positions, GELU, layer norm after each block and after the embeddings, output
weights tied to the embeddings. Its parts are those of Hugging Face's XLM-R one by one, and so are a dictionary of
``csr mixture`` and an XLM-R vocabulary: <s>, <pad>, </s>, <unk>, SentencePiece's pieces in their order, <mask>.
"""

from __future__ import annotations

import functools
from argparse import ArgumentParser, Namespace

import torch
from fairseq.models import register_model, register_model_architecture
from fairseq.models.roberta import RobertaEncoder, RobertaModel, base_architecture

from csr.backbone.checkpoints import dictionary_hash, fingerprint
from csr.errors import DataError

EPSILON = 1e-5  # of fairseq's normalisation
# Layers and width. tiny, mini and small: Turc et al. 2019; base and large: Devlin et al. 2019. All have heads of 64
# and a feed-forward layer of four times the width.
SIZES = {"tiny": (2, 128), "mini": (4, 256), "small": (4, 512), "base": (12, 768), "large": (24, 1024)}


@register_model("csr_bert")
class CsrBert(RobertaModel):
    """RoBERTa that knows its vocabulary: a checkpoint of another one is refused, also if it is of the same size."""

    def __init__(self, args: Namespace, encoder: RobertaEncoder) -> None:
        super().__init__(args, encoder)
        for module in encoder.modules():
            if hasattr(module, "normalized_shape"):  # also where it is apex's
                module.eps = getattr(args, "layer_norm_eps", EPSILON)
        self.register_buffer("vocabulary", fingerprint(dictionary_hash(encoder.dictionary.symbols)))

    @staticmethod
    def add_args(parser: ArgumentParser) -> None:
        """Add RoBERTa's options, and one that models of the Hugging Face library need."""
        RobertaModel.add_args(parser)
        parser.add_argument(
            "--layer-norm-eps", type=float, metavar="E", help="epsilon of normalisation (default: 1e-05)"
        )

    def upgrade_state_dict_named(self, state_dict: dict[str, torch.Tensor], name: str) -> None:
        """Check the vocabulary of a checkpoint before its weights are read.

        Raises:
            DataError: it is not the one of the data.
        """
        super().upgrade_state_dict_named(state_dict, name)
        expected, found = len(self.encoder.dictionary), len(state_dict["encoder.sentence_encoder.embed_tokens.weight"])
        if expected != found:
            raise DataError(f"checkpoint: expected the data's {expected:,} pieces, found {found:,}")
        # Models that others trained have no fingerprint.
        if not torch.equal(state_dict.setdefault("vocabulary", self.vocabulary).cpu(), self.vocabulary.cpu()):
            raise DataError(f"checkpoint: expected the data's vocabulary, found another one of {found:,} pieces too")


def _architecture(layers: int, width: int, arguments: Namespace) -> None:
    """Set what the command line leaves open."""
    defaults = {
        "encoder_layers": layers,
        "encoder_embed_dim": width,
        "encoder_ffn_embed_dim": 4 * width,
        "encoder_attention_heads": width // 64,
        "max_positions": 512,
        "layer_norm_eps": EPSILON,
    }
    for name, value in defaults.items():
        if not hasattr(arguments, name):
            setattr(arguments, name, value)
    base_architecture(arguments)


for _name, (_layers, _width) in SIZES.items():
    register_model_architecture("csr_bert", f"csr_bert_{_name}")(functools.partial(_architecture, _layers, _width))
