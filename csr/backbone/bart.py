"""BART (Lewis et al. 2020): what a sequence-to-sequence model of an encoder is, with languages of its own."""

from __future__ import annotations

from csr.backbone.families import Family

EPSILON = 1e-5  # of normalisation, which is no setting there

BART = Family(
    presets=(),
    arch="csr_bart",
    activations=("gelu",),
    scaled=False,
    normalize_before=False,
    embedding_norm=True,
    learned_positions=True,
    model_type="bart",
    model_class="BartForConditionalGeneration",
    config={
        "scale_embedding": False,
        "normalize_before": False,
        "normalize_embedding": True,
        "add_final_layer_norm": False,
        "static_position_embeddings": False,
    },
)
