"""mBART between fairseq and Hugging Face: the same numbers and sentences either way, nothing lost on a round trip."""

from __future__ import annotations

import json
import re
from argparse import Namespace
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from backbones import make_archive, make_state
from evaluation_outputs import references
from tiny_checkpoint import make_checkpoint, make_data

from csr.backbone import generation
from csr.backbone.checkpoints import read_checkpoint, write_checkpoint
from csr.backbone.huggingface import export_checkpoint, import_folder
from csr.backbone.presets import PRESETS
from csr.cli import main
from csr.data import subwords
from csr.errors import ConfigError, DataError

LONGEST = 60  # tokens generated, enough for random weights to end each sentence
SENTENCES = list(dict.fromkeys(references()))[:16]


@dataclass
class Pair:
    """One model in both forms."""

    archive: Path
    folder: Path
    preset: str
    ours: Any  # fairseq_plugins.models.Model
    theirs: Any  # transformers' model
    tokenizer: Any


@pytest.fixture(scope="module", params=PRESETS)
def pair(request, tmp_path_factory) -> Pair:
    """A model of random weights and 800 pieces as fairseq and as ``transformers`` load it."""
    from transformers import AutoModelForSeq2SeqLM, AutoTokenizer

    from fairseq_plugins.models import Languages, read_model

    folder = tmp_path_factory.mktemp(request.param)
    archive = make_archive(folder / "archive", request.param, 800, scale=1.0, seed=5)
    export_checkpoint(archive / "model.pt", folder / "hf", languages=("en", "ro"))
    preset = PRESETS[request.param]
    languages = Languages("en_XX", "ro_RO", preset.languages)
    ours = read_model(
        archive / "model.pt", sentencepiece_model=archive / "sentence.bpe.model", languages=languages, device="cpu"
    )
    theirs = AutoModelForSeq2SeqLM.from_pretrained(folder / "hf").eval()
    tokenizer = AutoTokenizer.from_pretrained(folder / "hf")
    return Pair(archive, folder / "hf", request.param, ours, theirs, tokenizer)


def batch_of(pair: Pair) -> dict:
    """The sentences as fairseq's batch; the target of each is another one, in the target language."""
    from fairseq_plugins.datasets import TranslationDataset

    sides = [
        pair.ours.text_side(lines, language, pair.archive / "sentence.bpe.model")
        for lines, language in ((SENTENCES, "en_XX"), (SENTENCES[::-1], "ro_RO"))
    ]
    dataset = TranslationDataset(*sides, pair.ours.task.symbols)
    return dataset.collater([dataset[i] for i in range(len(SENTENCES))])


def test_the_tokenizers_give_the_ids_of_our_dictionary(pair):
    from transformers import AutoTokenizer

    rows = [[i for i in row if i != 1] for row in batch_of(pair)["net_input"]["src_tokens"].tolist()]
    assert pair.tokenizer.is_fast
    assert pair.tokenizer(SENTENCES).input_ids == rows
    slow = AutoTokenizer.from_pretrained(pair.folder, use_fast=False)
    assert slow(SENTENCES).input_ids == rows
    odd = ["  two  spaces ", "ﬁ ½ \u00a0 Ａ", "日本語", ""]
    assert pair.tokenizer(odd).input_ids == slow(odd).input_ids
    assert pair.tokenizer.mask_token_id == len(pair.ours.task.tgt_dict) - 1


def test_logits_agree(pair):
    batch = batch_of(pair)
    net = batch["net_input"]
    with torch.no_grad():
        ours, _ = pair.ours.model(**net)
        theirs = pair.theirs(
            input_ids=net["src_tokens"],
            attention_mask=net["src_tokens"].ne(1).long(),
            decoder_input_ids=net["prev_output_tokens"],
        ).logits
    real = batch["target"].ne(1)
    assert ours[real].std() > 0.5  # else anything would agree
    torch.testing.assert_close(ours[real], theirs[real], atol=1e-4, rtol=0)


@pytest.mark.parametrize("beam", [1, 5])
def test_both_generate_the_same(pair, beam):
    task, batch = pair.ours.task, batch_of(pair)
    generator = task.build_generator([pair.ours.model], Namespace(beam=beam, max_len_a=0, max_len_b=LONGEST))
    ours = [hyps[0]["tokens"].tolist() for hyps in task.inference_step(generator, [pair.ours.model], batch)]
    inputs = pair.tokenizer(SENTENCES, return_tensors="pt", padding=True)
    # fairseq counts the end, Hugging Face also the first token.
    found = pair.theirs.generate(**inputs, num_beams=beam, max_length=LONGEST + 2)
    theirs = [[token for token in row if token != 1] for row in found[:, 1:].tolist()]
    assert theirs == ours
    assert len({tuple(row) for row in ours}) > 10  # not one answer to everything


def talkative(path, data, language_ids):
    """A checkpoint with weights so large that its outputs are of many kinds."""
    checkpoint = make_checkpoint(path, data, seed=3, language_ids=language_ids)
    state = torch.load(checkpoint, weights_only=False)
    state["model"] = make_state(len(state["model"]["encoder.embed_tokens.weight"]), seed=5, scale=1.0)["model"]
    vars(state["cfg"]["model"]).update(encoder_ffn_embed_dim=32, decoder_ffn_embed_dim=32)
    torch.save(state, checkpoint)
    return checkpoint


@pytest.mark.slow
def test_ctranslate2_finds_what_fairseq_finds(tmp_path, monkeypatch):
    pytest.importorskip("ctranslate2")
    from fairseq_plugins import ctranslate, outputs
    from fairseq_plugins.models import read_model

    data = make_data(tmp_path)
    model = read_model(talkative(tmp_path / "model.pt", data, "append"), data / "bin", device="cpu")
    assert ctranslate.usable(model)
    for beam, threads in ((1, 1), (3, 1), (3, 2)):
        torch.set_num_threads(threads)
        found = outputs.hypotheses(model, SENTENCES, "xx", data / "spm.model", beam)
        assert torch.get_num_threads() == threads
        with monkeypatch.context() as patch:
            patch.setattr(ctranslate, "usable", lambda model: False)
            wanted = outputs.hypotheses(model, SENTENCES, "xx", data / "spm.model", beam)
        assert [len(hyps) for hyps in found] == [beam] * len(SENTENCES)
        same = [i for i, hyps in enumerate(wanted) if hyps[0].text == found[i][0].text]
        assert len(same) >= 15  # of 16; weights so large make much of the last digits
        scores = [[of[i][0].score for i in same] for of in (found, wanted)]
        assert scores[0] == pytest.approx(scores[1], rel=0.05)
        assert len({hyps[0].text for hyps in found}) > 8
    other = talkative(tmp_path / "other.pt", data, "prepend")
    assert not ctranslate.usable(read_model(other, data / "bin", device="cpu"))


@pytest.mark.slow
@pytest.mark.parametrize("language_ids", ["append", "prepend"])
def test_a_model_of_ours_has_its_own_languages(tmp_path, language_ids, monkeypatch):
    """The outputs and scores of a small model that was trained here, exported, are those of fairseq's search."""
    from fairseq_plugins import ctranslate, outputs
    from fairseq_plugins.models import read_model

    monkeypatch.setattr(ctranslate, "usable", lambda model: False)
    data = make_data(tmp_path)
    checkpoint = talkative(tmp_path / "model.pt", data, language_ids)
    preset, _ = export_checkpoint(checkpoint, tmp_path / "out", data / "dict.txt", data / "spm.model", card="# Card")
    assert preset.languages == ("xx", "yy")
    assert (tmp_path / "out/README.md").read_text() == "# Card"
    ours = read_model(checkpoint, data / "bin", device="cpu")
    theirs = generation.load(tmp_path / "out", "AutoModelForSeq2SeqLM", "cpu")
    row = theirs[0].convert_ids_to_tokens(theirs[0](SENTENCES[0]).input_ids)
    assert (row[-1] if language_ids == "append" else row[0]) == "[xx]"
    for beam in (1, 3):
        wanted = outputs.hypotheses(ours, SENTENCES, "xx", data / "spm.model", beam)
        found = generation.hypotheses(*theirs, SENTENCES, beam)
        # The best of each; what is below it depends on when a search ends, too.
        texts = [re.sub("<(mask|unk)>", "", hyps[0].text) for hyps in wanted]  # which the library leaves out
        assert [hyps[0].text for hyps in found] == texts
        assert [len(hyps) for hyps in found] == [beam] * len(SENTENCES)
        assert len(set(texts)) > 8
        # What the longest source cuts off counts its end in one search and not in the other.
        scores = [[hyps[0].score for hyps in of] for of in (found, wanted)]
        assert scores[0] == pytest.approx(scores[1], rel=0.05)


def test_import_of_an_export_is_the_identity(pair, tmp_path):
    import_folder(pair.folder, tmp_path / "back")
    before, after = read_checkpoint(pair.archive / "model.pt"), read_checkpoint(tmp_path / "back" / "model.pt")
    assert before["model"].keys() == after["model"].keys()
    for name, weight in before["model"].items():
        assert torch.equal(weight, after["model"][name])
    for file in ("dict.txt", "sentence.bpe.model"):
        assert (tmp_path / "back" / file).read_bytes() == (pair.archive / file).read_bytes()
    export_checkpoint(tmp_path / "back" / "model.pt", tmp_path / "again", languages=("en", "ro"))
    import_folder(tmp_path / "again", tmp_path / "once more")
    for file in pair.folder.iterdir():
        assert (tmp_path / "again" / file.name).read_bytes() == file.read_bytes()


@pytest.mark.slow
@pytest.mark.parametrize("preset", PRESETS)
def test_the_published_vocabulary_and_its_ids(preset, tmp_path):
    """250,027 and 250,054 rows, with the ids that the models were pretrained with."""
    from transformers import AutoTokenizer

    archive = make_archive(tmp_path / "archive", preset, dim=2, layers=1)
    export_checkpoint(archive / "model.pt", tmp_path / "hf")
    config = json.loads((tmp_path / "hf" / "config.json").read_text())
    assert config["vocab_size"] == {"cc25": 250_027, "ml50": 250_054}[preset]
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "hf")
    mask = {"cc25": 250_026, "ml50": 250_053}[preset]
    assert tokenizer.convert_tokens_to_ids(["en_XX", "ro_RO", "<mask>"]) == [250_004, 250_020, mask]
    assert main(["import-hf", str(tmp_path / "hf"), str(tmp_path / "back")]) == 0
    assert len(subwords.read_dictionary(tmp_path / "back" / "dict.txt")) == 249_997


@pytest.mark.parametrize("kind", ["safetensors in parts", "bin", "bin in parts"])
def test_all_the_ways_weights_are_kept(pair, tmp_path, kind):
    import shutil

    folder = tmp_path / "hf"
    pair.theirs.save_pretrained(
        folder, safe_serialization=not kind.startswith("bin"), max_shard_size="60KB" if "parts" in kind else "5GB"
    )
    shutil.copyfile(pair.folder / "sentencepiece.bpe.model", folder / "sentencepiece.bpe.model")
    assert len(list(folder.glob("*.index.json"))) == ("parts" in kind)
    import_folder(folder, tmp_path / "back")
    after = read_checkpoint(tmp_path / "back" / "model.pt")["model"]
    for name, weight in read_checkpoint(pair.archive / "model.pt")["model"].items():
        assert torch.equal(weight, after[name])


def test_what_does_not_belong_together_is_named(pair, tmp_path, capsys):
    import shutil

    folder = shutil.copytree(pair.folder, tmp_path / "hf")

    def refused(change: dict) -> str:
        config = json.loads((pair.folder / "config.json").read_text())
        (folder / "config.json").write_text(json.dumps(config | change))
        assert main(["import-hf", str(folder), str(tmp_path / "out")]) == 2
        assert not (tmp_path / "out").exists()
        (line,) = capsys.readouterr().err.splitlines()
        return line

    assert "expected scale_embedding to be True, found False" in refused({"scale_embedding": False})
    assert "expected model_type to be mbart, xlm-roberta, bert, distilbert, found bart" in refused(
        {"model_type": "bart"}
    )
    assert "expected encoder layers 3, as its settings say, found weights of 2" in refused({"encoder_layers": 3})
    assert "expected a number for d_model, found None" in refused({"d_model": None})
    (folder / "sentencepiece.bpe.model").unlink()
    assert "sentencepiece.bpe.model: no such file" in refused({})

    archive = shutil.copytree(pair.archive, tmp_path / "archive")
    lines = (archive / "dict.txt").read_text().splitlines()
    (archive / "dict.txt").write_text("\n".join([lines[1], lines[0], *lines[2:]]) + "\n")
    with pytest.raises(DataError, match=r"dict.txt:1: expected .*, as in .*, found"):
        export_checkpoint(archive / "model.pt", tmp_path / "out")
    (archive / "dict.txt").write_text("\n".join(lines[:-1]) + "\n")
    with pytest.raises(DataError, match=r"expected the 800 pieces of .*, found 799"):
        export_checkpoint(archive / "model.pt", tmp_path / "out")
    with pytest.raises(ConfigError, match="language 'xx'"):
        export_checkpoint(pair.archive / "model.pt", tmp_path / "out", languages=("en", "xx"))
    state = read_checkpoint(pair.archive / "model.pt")
    state["args"].no_scale_embedding = True
    write_checkpoint(state, tmp_path / "unscaled.pt")
    with pytest.raises(DataError, match="scaled embeddings"):
        export_checkpoint(
            tmp_path / "unscaled.pt", tmp_path / "out", pair.archive / "dict.txt", pair.archive / "sentence.bpe.model"
        )
    assert not (tmp_path / "out").exists()
