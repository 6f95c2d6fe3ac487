"""Another kind of backbone is one value: NLLB here, in and out with equal logits and as many parameters as is said."""

from pathlib import Path

import pytest
import torch
from backbones import write_sentencepiece
from evaluation_outputs import references

from csr.backbone import presets
from csr.backbone.checkpoints import check_start, model_settings, read_checkpoint
from csr.backbone.families import Family, Preset
from csr.backbone.huggingface import export_checkpoint, import_folder
from csr.data.examples import LanguageIds
from csr.data.subwords import read_dictionary
from csr.errors import DataError

NLLB = Family(
    presets=(
        Preset("nllb", "NLLB-200", ("deu_Latn", "eng_Latn", "swh_Latn"), LanguageIds.PREPEND, "NllbTokenizer", 255_997),
    ),
    arch="transformer",
    activations=("relu",),
    scaled=True,
    normalize_before=True,
    embedding_norm=False,
    learned_positions=False,
    model_type="m2m_100",
    model_class="M2M100ForConditionalGeneration",
    config={"scale_embedding": True},
)
(PRESET,) = NLLB.presets
SIZES = {"layers": 2, "dim": 16, "ffn": 24, "heads": 4}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder as published, with random weights."""
    from transformers import M2M100Config, M2M100ForConditionalGeneration

    monkeypatch.setitem(presets.FAMILIES, NLLB.model_type, NLLB)
    monkeypatch.setitem(presets.PRESETS, PRESET.name, PRESET)
    write_sentencepiece(tmp_path / "hf/sentencepiece.bpe.model", references(), 300)
    names = {"layers": "layers", "ffn_dim": "ffn", "attention_heads": "heads"}
    sizes = {f"{side}_{theirs}": SIZES[ours] for side in ("encoder", "decoder") for theirs, ours in names.items()}
    torch.manual_seed(1)
    config = M2M100Config(vocab_size=PRESET.rows(297), d_model=SIZES["dim"], max_position_embeddings=64, **sizes)
    model = M2M100ForConditionalGeneration(config)
    for weight in model.parameters():
        torch.nn.init.normal_(weight, std=0.3)
    model.save_pretrained(tmp_path / "hf")
    return tmp_path / "hf"


def _ours(folder: Path) -> torch.nn.Module:
    """fairseq's model, of the flags of the family."""
    from fairseq import options
    from fairseq.data import Dictionary
    from fairseq.models import ARCH_MODEL_REGISTRY

    state = read_checkpoint(folder / "model.pt")
    dictionary = Dictionary()
    for symbol in PRESET.vocabulary(read_dictionary(folder / "dict.txt"))[4:]:
        dictionary.add_symbol(symbol)
    flags = NLLB.flags(SIZES["layers"], SIZES["dim"], SIZES["ffn"], SIZES["heads"], "relu")
    parser = options.get_training_parser()
    positions = ["--max-source-positions", "64", "--max-target-positions", "64"]
    args = options.parse_args_and_arch(parser, ["data", "--task", "translation", *flags, *positions])
    check_start(folder / "model.pt", vars(args), dictionary.symbols, 297, PRESET)

    class Task:
        source_dictionary = target_dictionary = dictionary

    model = ARCH_MODEL_REGISTRY[NLLB.arch].build_model(args, Task()).eval()
    model.load_state_dict(state["model"])
    settings = {name: value for name, value in model_settings(state).items() if name not in ("task", "langs")}
    assert settings == {name: getattr(args, name) for name in settings}
    return model


@torch.inference_mode()
def test_another_family_is_one_value(folder: Path, tmp_path: Path) -> None:
    from transformers import AutoModelForSeq2SeqLM

    preset, _ = import_folder(folder, tmp_path / "ours")
    assert preset is PRESET
    ours = _ours(tmp_path / "ours")
    export_checkpoint(tmp_path / "ours/model.pt", tmp_path / "back", languages=("deu_Latn", "eng_Latn"))
    languages = [PRESET.vocabulary(["x"] * 297).index(f"[{code}]") for code in ("deu_Latn", "eng_Latn")]
    source = torch.tensor([[languages[0], 5, 6, 7, 2], [languages[0], 8, 2, 1, 1]])
    decoder = torch.tensor([[2, languages[1], 9, 10], [2, languages[1], 11, 12]])
    logits, _ = ours(source, source.ne(1).sum(1), decoder)
    assert logits.std() > 0.5
    for path in (folder, tmp_path / "back"):
        theirs = AutoModelForSeq2SeqLM.from_pretrained(path).eval()
        found = theirs(input_ids=source, attention_mask=source.ne(1).long(), decoder_input_ids=decoder).logits
        torch.testing.assert_close(found, logits, rtol=0, atol=1e-4)
    sizes = NLLB.sizes(PRESET.rows(297), **SIZES)
    assert sizes.parameters == sum(weight.numel() for weight in ours.parameters())


def test_a_family_that_nobody_knows_is_named(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(presets.FAMILIES, NLLB.model_type)
    with pytest.raises(DataError, match=r"expected model_type to be mbart, .*, found m2m_100"):
        import_folder(folder, tmp_path / "ours")
