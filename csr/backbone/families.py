"""What tells one kind of pretrained model from another, as values; ``csr.backbone.presets`` lists the kinds.

Another kind is a file with one of these values, a line in that list, and a test.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from csr.backbone.estimate import Sizes
from csr.data.examples import LanguageIds

SPECIAL = ("<s>", "<pad>", "</s>", "<unk>")  # ids 0 to 3, which fairseq puts before its dictionary
MASK = "<mask>"
# fairseq counts learned positions from the id after <pad>'s, 2, on: two rows are never read.
OFFSET = 2
# fairseq's RoBERTa: its encoder, and the weights around the layers; the output is the embedding.
ENCODER = "encoder.sentence_encoder"
EMBEDDING, POSITIONS = f"{ENCODER}.embed_tokens.weight", f"{ENCODER}.embed_positions.weight"
OUTPUT, OUTPUT_BIAS = "encoder.lm_head.weight", "encoder.lm_head.bias"
# The head of labels that our tasks put in place of the one that predicts masked pieces.
HEAD_DENSE, HEAD_OUT = "head.dense", "head.out"


@dataclass(frozen=True)
class Preset:
    """A published model: its vocabulary is 4 special symbols, the pieces, the languages in order and ``<mask>``.

    Attributes:
        tokenizer: its class in ``transformers``, none of a model of ours; the fast one is named so with ``Fast``.
        pieces: lines of the published dictionary; a trimmed model has fewer.
    """

    name: str
    title: str
    languages: tuple[str, ...]
    language_ids: LanguageIds
    tokenizer: str
    pieces: int

    def vocabulary(self, pieces: Sequence[str]) -> list[str]:
        """fairseq's symbols in the order of their ids, for the pieces of a dictionary."""
        return [*SPECIAL, *pieces, *(f"[{language}]" for language in self.languages), MASK]

    def rows(self, pieces: int) -> int:
        """Number of embeddings of a model with that many dictionary lines."""
        return len(SPECIAL) + pieces + len(self.languages) + 1


@dataclass(frozen=True)
class Family:
    """A kind of encoder-decoder, with one embedding for both sides and the output.

    Attributes:
        presets: the published models.
        arch: fairseq's ``--arch``; the other fields must say what it implies.
        activations: fairseq's names of those that published models have, that of ``arch`` first.
        scaled: embeddings are multiplied by the square root of their width.
        normalize_before: a layer's parts normalise what they read, and the last layer's output is normalised.
        embedding_norm: embeddings are normalised.
        learned_positions: positions are weights, and no sines.
        model_type, model_class: what ``config.json`` calls it and its class in ``transformers``.
        config: what else ``config.json`` says of every such model.
        assumed: what ``transformers`` takes for granted where ``config.json`` does not say what is in ``config``.
    """

    presets: tuple[Preset, ...]
    arch: str
    activations: tuple[str, ...]
    scaled: bool
    normalize_before: bool
    embedding_norm: bool
    learned_positions: bool
    model_type: str
    model_class: str
    config: Mapping[str, Any] = field(default_factory=dict)
    assumed: Mapping[str, Any] = field(default_factory=dict)

    def flags(self, layers: int, dim: int, ffn: int, heads: int, activation: str) -> list[str]:
        """fairseq-train's flags of a model of the given sizes."""
        flags = []
        for side in ("encoder", "decoder"):
            flags += [f"--{side}-layers", str(layers), f"--{side}-embed-dim", str(dim)]
            flags += [f"--{side}-ffn-embed-dim", str(ffn), f"--{side}-attention-heads", str(heads)]
            flags += [f"--{side}-normalize-before"] if self.normalize_before else []
        flags += ["--activation-fn", activation] if activation != self.activations[0] else []
        flags += ["--arch", self.arch] + (["--layernorm-embedding"] if self.embedding_norm else [])
        return [*flags, "--share-all-embeddings"]

    def settings(self) -> dict[str, Any]:
        """fairseq's settings of any such model, as its checkpoints have them."""
        sides = {"learned_pos": self.learned_positions, "normalize_before": self.normalize_before}
        return {
            "arch": self.arch,
            "layernorm_embedding": self.embedding_norm,
            "no_scale_embedding": not self.scaled,
            "share_all_embeddings": True,
            "share_decoder_input_output_embed": True,
            **{f"{side}_{name}": value for side in ("encoder", "decoder") for name, value in sides.items()},
        }

    def shapes(
        self, encoder_layers: int, decoder_layers: int, dim: int, ffn: int, positions: int
    ) -> dict[str, tuple[int, ...]]:
        """Shapes of fairseq's weights by name, all but the embedding's."""
        shapes: dict[str, tuple[int, ...]] = {}
        for side, layers in (("encoder", encoder_layers), ("decoder", decoder_layers)):
            norms = [f"{side}.layernorm_embedding"] if self.embedding_norm else []
            norms += [f"{side}.layer_norm"] if self.normalize_before else []
            for layer in (f"{side}.layers.{i}" for i in range(layers)):
                for attention in ("self_attn", "encoder_attn") if side == "decoder" else ("self_attn",):
                    norms.append(f"{layer}.{attention}_layer_norm")
                    for part in ("q_proj", "k_proj", "v_proj", "out_proj"):
                        shapes[f"{layer}.{attention}.{part}.weight"] = (dim, dim)
                        shapes[f"{layer}.{attention}.{part}.bias"] = (dim,)
                norms.append(f"{layer}.final_layer_norm")
                shapes |= {f"{layer}.fc1.weight": (ffn, dim), f"{layer}.fc1.bias": (ffn,)}
                shapes |= {f"{layer}.fc2.weight": (dim, ffn), f"{layer}.fc2.bias": (dim,)}
            shapes |= {f"{norm}.{part}": (dim,) for norm in norms for part in ("weight", "bias")}
            if self.learned_positions:
                shapes[f"{side}.embed_positions.weight"] = (positions + OFFSET, dim)
        return shapes

    def sizes(self, vocabulary: int, layers: int, dim: int, ffn: int, heads: int, positions: int = 1024) -> Sizes:
        """What ``csr.backbone.estimate`` counts parameters and memory from."""
        norms = self.normalize_before + self.embedding_norm
        return Sizes(vocabulary, layers, dim, ffn, heads, positions, norms, self.learned_positions)


# Names of an encoder's settings in config.json, of all kinds but DistilBERT.
CONFIG = {
    "layers": "num_hidden_layers",
    "dim": "hidden_size",
    "ffn": "intermediate_size",
    "heads": "num_attention_heads",
    "activation": "hidden_act",
    "dropout": "hidden_dropout_prob",
    "attention_dropout": "attention_probs_dropout_prob",
}


@dataclass(frozen=True)
class EncoderFamily:
    """A kind of BERT encoder: fairseq's RoBERTa weight by weight, under other names.

    Attributes:
        model_type: what ``config.json`` calls it; ``--layout`` of ``csr export-hf``.
        model_class: its class in ``transformers`` that predicts masked pieces.
        stem: what the names of all weights but the head's begin with.
        layers: what follows there before the number of a layer.
        parts: our and their names of a layer's parts, each with a weight and a bias.
        dense, norm, output, bias: of the head; ``output`` is tied to the embedding.
        first_position: the row of the first position.
        token_types: each piece has an embedding of the sentence that it is of, too.
        epsilon: of normalisation, where it is no setting.
        config: names in ``config.json``.
        pooler, label: of the head that labels texts, a dense layer with tanh and the output; no ``pooler`` where the
            head is another one. That of tokens is ``classifier`` in all.
    """

    model_type: str
    model_class: str
    stem: str
    parts: Mapping[str, str]
    dense: str
    norm: str
    output: str
    bias: str
    first_position: int
    layers: str = "encoder.layer"
    token_types: bool = True
    epsilon: float | None = None
    config: Mapping[str, str] = field(default_factory=lambda: CONFIG)
    pooler: str | None = None
    label: str = "classifier"

    def sizes(self, vocabulary: int, layers: int, dim: int, ffn: int, heads: int, positions: int) -> Sizes:
        """What ``csr.backbone.estimate`` counts parameters and memory from."""
        return Sizes(vocabulary, layers, dim, ffn, heads, positions, norms=1, decoder_layers=0)

    def names(self, layers: int) -> dict[str, str]:
        """Their name of each weight of ours but the positions and the tied output."""
        head = {"encoder.lm_head.dense": self.dense, "encoder.lm_head.layer_norm": self.norm}
        return self._named(head | self._layers(layers)) | {EMBEDDING: self.embedding("word"), OUTPUT_BIAS: self.bias}

    def label_names(self, layers: int, pooled: bool) -> dict[str, str]:
        """The same of a model with our head of labels: of texts, where it is ``pooled``, or of tokens."""
        head = {HEAD_OUT: self.label, HEAD_DENSE: str(self.pooler)} if pooled else {HEAD_OUT: "classifier"}
        return self._named(head | self._layers(layers)) | {EMBEDDING: self.embedding("word")}

    def _layers(self, layers: int) -> dict[str, str]:
        parts = {f"{ENCODER}.layernorm_embedding": f"{self.stem}.embeddings.LayerNorm"}
        for i in range(layers):
            stems = f"{ENCODER}.layers.{i}", f"{self.stem}.{self.layers}.{i}"
            parts |= {f"{stems[0]}.{ours}": f"{stems[1]}.{theirs}" for ours, theirs in self.parts.items()}
        return parts

    @staticmethod
    def _named(parts: Mapping[str, str]) -> dict[str, str]:
        return {f"{a}.{kind}": f"{b}.{kind}" for a, b in parts.items() for kind in ("weight", "bias")}

    def embedding(self, kind: str) -> str:
        """Their name of an embedding: of ``word``, ``position`` or ``token_type``."""
        return f"{self.stem}.embeddings.{kind}_embeddings.weight"
