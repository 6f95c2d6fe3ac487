"""XLM-R (Conneau et al. 2020) and BERT (Devlin et al. 2019): what ``transformers`` calls the parts of an encoder.

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
    pad=1,
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
    pad=0,
)
