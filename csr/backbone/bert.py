"""XLM-R (Conneau et al. 2020), BERT (Devlin et al. 2019), DistilBERT (Sanh et al. 2019): names in ``transformers``.

Positions count from 2 in RoBERTa and from 0 in BERT.
"""

from __future__ import annotations

from csr.backbone.families import OFFSET, EncoderFamily

_PARTS = {
    "self_attn.q_proj": "attention.self.query",
    "self_attn.k_proj": "attention.self.key",
    "self_attn.v_proj": "attention.self.value",
    "self_attn.out_proj": "attention.output.dense",
    "self_attn_layer_norm": "attention.output.LayerNorm",
    "fc1": "intermediate.dense",
    "fc2": "output.dense",
    "final_layer_norm": "output.LayerNorm",
}

XLM_ROBERTA = EncoderFamily(
    model_type="xlm-roberta",
    model_class="XLMRobertaForMaskedLM",
    stem="roberta",
    parts=_PARTS,
    dense="lm_head.dense",
    norm="lm_head.layer_norm",
    output="lm_head.decoder",
    bias="lm_head.bias",
    first_position=OFFSET,
    pooler="classifier.dense",
    label="classifier.out_proj",
)

BERT = EncoderFamily(
    model_type="bert",
    model_class="BertForMaskedLM",
    stem="bert",
    parts=_PARTS,
    dense="cls.predictions.transform.dense",
    norm="cls.predictions.transform.LayerNorm",
    output="cls.predictions.decoder",
    bias="cls.predictions.bias",
    first_position=0,
    pooler="bert.pooler.dense",
)

DISTILBERT = EncoderFamily(
    model_type="distilbert",
    model_class="DistilBertForMaskedLM",
    stem="distilbert",
    layers="transformer.layer",
    parts={
        "self_attn.q_proj": "attention.q_lin",
        "self_attn.k_proj": "attention.k_lin",
        "self_attn.v_proj": "attention.v_lin",
        "self_attn.out_proj": "attention.out_lin",
        "self_attn_layer_norm": "sa_layer_norm",
        "fc1": "ffn.lin1",
        "fc2": "ffn.lin2",
        "final_layer_norm": "output_layer_norm",
    },
    dense="vocab_transform",
    norm="vocab_layer_norm",
    output="vocab_projector",
    bias="vocab_projector.bias",
    first_position=0,
    token_types=False,
    epsilon=1e-12,
    config={
        "layers": "n_layers",
        "dim": "dim",
        "ffn": "hidden_dim",
        "heads": "n_heads",
        "activation": "activation",
        "dropout": "dropout",
        "attention_dropout": "attention_dropout",
    },
)
