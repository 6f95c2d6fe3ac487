"""A user who has a Hugging Face folder of mBART's whole vocabulary, from import to a model that others can load."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch
import yaml
from backbones import make_archive
from evaluation_outputs import outputs, references

from csr.backbone.checkpoints import read_checkpoint
from csr.backbone.huggingface import export_checkpoint
from csr.cli import main
from csr.files import read_json

pytestmark = pytest.mark.slow

STAGE = {"updates": 2, "lr": 1.0e-3, "warmup": 1, "max_tokens": 500, "save_every": 2}


def command(*arguments: object) -> None:
    assert main(list(map(str, arguments))) == 0


@pytest.mark.parametrize("preset", ["cc25", "ml50"])
def test_import_trim_restore_finetune_generate_export(tmp_path: Path, preset: str) -> None:
    from transformers import AutoModelForSeq2SeqLM, AutoTokenizer

    texts = {"de": outputs(0.3, seed=1, n=60), "en": references(60)}
    for language, lines in texts.items():
        (tmp_path / f"text.{language}").write_text("".join(f"{i} {line}\n" for i, line in enumerate(lines)))
    archive = make_archive(tmp_path / "archive", preset, lines=[*texts["de"], *texts["en"], "qx0123456789"])
    export_checkpoint(archive / "model.pt", tmp_path / "published", languages=("de", "en"))
    shutil.rmtree(archive)

    src, tgt = tmp_path / "text.de", tmp_path / "text.en"
    command("import-hf", tmp_path / "published", tmp_path / "full")
    lexicons = tmp_path / "de-en.tsv", tmp_path / "en-de.tsv"
    command("lexicon", "ibm1", "--src", src, "--tgt", tgt, "--out", lexicons[0], "--reverse-out", lexicons[1])
    command("trim", tmp_path / "full", tmp_path / "small", "--text", src, tgt, "--lexicon", lexicons[0])
    record = read_json(tmp_path / "small/trim.json")
    assert record["pieces"]["before"] == 249_997
    assert record["pieces"]["after"] < 2000
    assert not any(counts["changed"] for counts in record["tokens"].values())

    config = {
        "data": {"source_lang": "de", "target_lang": "en", "src": str(src), "tgt": str(tgt)},
        "lexicon": {
            "method": "file",
            "files": [{"lang": "en", "file": str(lexicons[0])}, {"lang": "de", "file": str(lexicons[1])}],
        },
        "backbone": {"preset": preset, "folder": str(tmp_path / "small")},
        "restore": STAGE,
        "finetune": STAGE,
        "generate": {"beam": 1},
        "arms": ["csr"],
    }
    config["data"] |= {"dev_size": 5, "test_size": 5}
    config["backbone"] |= {"layers": 2, "dim": 16, "ffn": 32, "heads": 2}
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(config))
    run = tmp_path / "run"
    command("run", tmp_path / "config.yaml", "--out", run, "--until", "generate")
    assert len((run / "seed-1/csr/test.hyp").read_text().splitlines()) == 5

    model = run / "seed-1/csr/model.pt"
    vocabulary = ("--dict", tmp_path / "small/dict.txt", "--sentencepiece-model", tmp_path / "small/sentence.bpe.model")
    command("export-hf", model, tmp_path / "trained", *vocabulary)
    theirs = AutoModelForSeq2SeqLM.from_pretrained(tmp_path / "trained")
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "trained")
    assert len(tokenizer) == theirs.config.vocab_size == record["rows"]["after"]
    batch = tokenizer(texts["de"][:2], text_target=texts["en"][:2], return_tensors="pt", padding=True)
    assert torch.isfinite(theirs(**batch).loss)
    command("import-hf", tmp_path / "trained", tmp_path / "again")
    before, after = (read_checkpoint(path)["model"] for path in (model, tmp_path / "again/model.pt"))
    # Training moved them, and nothing was lost on the way out and in.
    name = "encoder.embed_tokens.weight"
    assert torch.equal(before[name], after[name])
    assert not torch.equal(after[name], read_checkpoint(tmp_path / "small/model.pt")["model"][name])
