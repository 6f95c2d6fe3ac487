"""mBART-cc25 (Liu et al. 2020) and mBART-50 (Tang et al. 2020): languages in order, where their ids go, the model."""

from __future__ import annotations

from csr.backbone.families import Family, Preset
from csr.data.examples import LanguageIds

_CC25 = (
    "ar_AR cs_CZ de_DE en_XX es_XX et_EE fi_FI fr_XX gu_IN hi_IN it_IT ja_XX kk_KZ ko_KR lt_LT lv_LV my_MM ne_NP nl_XX "
    "ro_RO ru_RU si_LK tr_TR vi_VN zh_CN"
)
_MORE = (
    "af_ZA az_AZ bn_IN fa_IR he_IL hr_HR id_ID ka_GE km_KH mk_MK ml_IN mn_MN mr_IN pl_PL ps_AF pt_XX sv_SE sw_KE ta_IN "
    "te_IN th_TH tl_XX uk_UA ur_PK xh_ZA gl_ES sl_SI"
)

MBART = Family(
    presets=(
        Preset("cc25", "mBART-cc25", tuple(_CC25.split()), LanguageIds.APPEND, "MBartTokenizer", 249_997),
        Preset("ml50", "mBART-50", tuple(f"{_CC25} {_MORE}".split()), LanguageIds.PREPEND, "MBart50Tokenizer", 249_997),
    ),
    arch="mbart_large",
    activations=("gelu", "relu"),  # relu: mBART-50 as published for translation
    scaled=True,
    normalize_before=True,
    embedding_norm=True,
    learned_positions=True,
    model_type="mbart",
    model_class="MBartForConditionalGeneration",
    config={
        "scale_embedding": True,
        "normalize_before": True,
        "normalize_embedding": True,
        "add_final_layer_norm": True,
        "static_position_embeddings": False,
    },
    assumed={"scale_embedding": False},
)
