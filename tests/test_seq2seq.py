"""A sequence-to-sequence model of a published encoder: the encoder as it was, a decoder of its layers, and training."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from tiny_training import save

from csr.backbone.checkpoints import read_checkpoint
from csr.backbone.seq2seq import spread
from csr.cli import main
from csr.data import subwords
from csr.data.labelled import Pieces
from csr.errors import ConfigError, DataError
from csr.experiments.kinds import read_config
from csr.experiments.translation import job, steps

LINES = ["the cat sat on the mat", "a dog ran to the river", "who saw the cat on the river"]


def make(folder: Path, epsilon: float) -> Path:
    """A folder with ``hf``, an E5 of four layers as it is published, and ``out``, what is made of it."""
    from transformers import BertConfig, BertModel

    (folder / "hf").mkdir()
    subwords.train([LINES * 20], 50, folder / "hf/sentencepiece.bpe.model")
    rows = len(subwords.load(folder / "hf/sentencepiece.bpe.model")) + 2
    sizes = {"hidden_size": 16, "num_hidden_layers": 4, "num_attention_heads": 2, "intermediate_size": 24}
    torch.manual_seed(1)
    model = BertModel(BertConfig(vocab_size=rows, **sizes, max_position_embeddings=40, layer_norm_eps=epsilon))
    for weight in model.parameters():
        torch.nn.init.normal_(weight, std=0.1)  # so small that the epsilon of normalisation shows
    model.save_pretrained(folder / "hf")
    command = ["import-hf", str(folder / "hf"), str(folder / "out"), "--decoder-layers", "2", "--langs", "de,en"]
    assert main(command) == 0
    return folder


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Such a folder with BERT's epsilon."""
    return make(tmp_path_factory.mktemp("seq2seq"), 1e-12)


def setup(made: Path, data: Path, *options: str):
    """The configuration and the task of a fairseq-train command."""
    from fairseq import options as fairseq_options
    from fairseq.dataclass.utils import convert_namespace_to_omegaconf
    from fairseq.tasks import setup_task

    import fairseq_plugins  # noqa: F401

    model = ["--arch", "csr_bart", "--sizes-of", str(made / "out/model.pt"), "--share-all-embeddings", "--cpu"]
    languages = ["--langs", "de,en", "--language-ids", "prepend", "--dropout", "0", "--attention-dropout", "0"]
    parser = fairseq_options.get_training_parser()
    arguments = fairseq_options.parse_args_and_arch(parser, [str(data), *model, *languages, *options])
    config = convert_namespace_to_omegaconf(arguments)
    return config, setup_task(config.task)


@pytest.fixture(scope="module")
def data(made: Path) -> Path:
    return make_data(made)


def make_data(made: Path) -> Path:
    """German, which is English backwards, and English, in the encoder's pieces."""
    from csr.data.rows import Vocabulary

    folder = made / "data"
    vocabulary = Vocabulary.read(made / "out/sentence.bpe.model", made / "out/dict.txt")
    sides = {"en": LINES, "de": [" ".join(line.split()[::-1]) for line in LINES]}
    for language, lines in sides.items():
        for split in ("train", "valid"):
            vocabulary.write(lines, folder / f"{split}.de-en.{language}", language)
        (folder / f"dict.{language}.txt").write_bytes((made / "out/dict.txt").read_bytes())
    return folder


@torch.inference_mode()
def test_the_encoder_is_the_published_one(made: Path, data: Path) -> None:
    """``[de] X </s>`` has the hidden states that the library gives ``<s> X </s>``, within 1e-4."""
    from transformers import BertModel

    config, task = setup(made, data, "--task", "csr_translation", "--source-lang", "de", "--target-lang", "en")
    model = task.build_model(config.model).eval()
    model.load_state_dict(read_checkpoint(made / "out/model.pt")["model"])
    theirs = BertModel.from_pretrained(made / "hf").eval()
    pieces = Pieces(made / "out/sentence.bpe.model", made / "out/dict.txt")
    for line in LINES:
        (row,) = pieces([line])
        ids = torch.tensor([[task.language_id("de"), *row, 2]])
        states = model.encoder(ids, torch.tensor([ids.shape[1]]))["encoder_out"][0].transpose(0, 1)
        expected = theirs(torch.tensor([[0, *row, 2]])).last_hidden_state
        torch.testing.assert_close(states, expected, rtol=0, atol=1e-4)
    assert model.encoder.layers[0].final_layer_norm.eps == 1e-12


def test_the_decoder_begins_as_layers_of_the_encoder(made: Path) -> None:
    weights = read_checkpoint(made / "out/model.pt")["model"]
    for number, layer in enumerate((0, 3)):
        for name in ("self_attn.q_proj.weight", "fc1.weight", "final_layer_norm.bias"):
            assert torch.equal(weights[f"decoder.layers.{number}.{name}"], weights[f"encoder.layers.{layer}.{name}"])
    assert not torch.equal(
        weights["decoder.layers.1.encoder_attn.q_proj.weight"], weights["encoder.layers.3.self_attn.q_proj.weight"]
    )
    assert not any(name.startswith("decoder.layers.2.") for name in weights)
    embedding = weights["encoder.embed_tokens.weight"]
    assert torch.equal(embedding[-2], embedding[0])  # a language, as <s>
    assert weights["decoder.output_projection.weight"].data_ptr() == embedding.data_ptr()


@pytest.mark.slow
@pytest.mark.parametrize(
    "task", [["csr_restore", "--replace", "mask"], ["csr_translation"]], ids=["restore", "translation"]
)
def test_it_is_trained(made: Path, data: Path, task: list[str]) -> None:
    """From the checkpoint, by both tasks: the loss falls below half."""
    options = ["--task", *task, "--source-lang", "de", "--target-lang", "en", "--finetune-from-model"]
    criterion = ["--criterion", "cross_entropy"]
    config, task = setup(made, data, *options, str(made / "out/model.pt"), *criterion)
    torch.set_num_threads(1)
    torch.manual_seed(1)
    model, criterion = task.build_model(config.model), task.build_criterion(config.criterion)
    model.load_state_dict(read_checkpoint(made / "out/model.pt")["model"])
    task.load_dataset("train")
    dataset = task.datasets["train"]
    batch = dataset.collater([dataset[i] for i in range(len(dataset))])
    optimizer = torch.optim.Adam(model.parameters(), 1e-2)
    losses = []
    for _ in range(200):
        loss, size, _ = criterion(model, batch)
        losses.append(float(loss / size))
        optimizer.zero_grad()
        (loss / size).backward()
        optimizer.step()
    assert losses[-1] < losses[0] / 2


@pytest.mark.slow
@torch.inference_mode()
def test_it_goes_out_as_a_bart(made: Path, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Equal logits; an encoder that normalises otherwise than BART is refused."""
    from transformers import AutoModelForSeq2SeqLM, AutoTokenizer

    options = ["--task", "csr_translation", "--source-lang", "de", "--target-lang", "en"]

    def export(folder: Path, text: Path) -> tuple[int, torch.nn.Module, Any]:
        config, task = setup(folder, text, *options)
        model = task.build_model(config.model).eval()
        model.load_state_dict(read_checkpoint(folder / "out/model.pt")["model"])
        save(config, model, folder / "trained.pt")
        files = [
            "--dict",
            str(folder / "out/dict.txt"),
            "--sentencepiece-model",
            str(folder / "out/sentence.bpe.model"),
        ]
        return main(["export-hf", str(folder / "trained.pt"), str(tmp_path / "bart"), *files]), model, task

    assert export(made, data)[0] == 2
    assert "expected normalisation with 1e-05, as BART has it, found 1e-12" in capsys.readouterr().err
    usual = make(tmp_path, 1e-5)
    status, ours, task = export(usual, make_data(usual))
    assert status == 0
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "bart")
    theirs = AutoModelForSeq2SeqLM.from_pretrained(tmp_path / "bart").eval()
    assert type(theirs).__name__ == "BartForConditionalGeneration"
    assert theirs.generation_config.forced_bos_token_id == task.language_id("en")
    for line in LINES:
        ids = torch.tensor([tokenizer(line).input_ids])
        (row,) = Pieces(usual / "out/sentence.bpe.model", usual / "out/dict.txt")([line])
        assert ids[0].tolist() == [task.language_id("de"), *row, 2]
        before = ids.roll(1)
        expected, _ = ours(ids, torch.tensor([ids.shape[1]]), before)
        torch.testing.assert_close(theirs(ids, decoder_input_ids=before).logits, expected, rtol=0, atol=1e-4)


def test_layers_are_chosen_evenly() -> None:
    assert [spread(12, n) for n in (1, 2, 3, 6)] == [(11,), (0, 11), (0, 6, 11), (0, 2, 4, 7, 9, 11)]
    assert spread(4, 4) == (0, 1, 2, 3)
    with pytest.raises(ConfigError, match="--decoder-layers: expected 1 to the encoder's 4, found 5"):
        spread(4, 5)


def test_an_experiment_trains_it_on_text_first(made: Path, tmp_path: Path) -> None:
    path = tmp_path / "run.yaml"
    backbone = {"family": "encoder", "folder": str(made / "out"), "langs": ["de", "en"]}
    texts = [{"lang": "de", "file": str(tmp_path / "mono.de")}]
    raw = {
        "data": {"source_lang": "de", "target_lang": "en", "src": "a", "tgt": "b"},
        "lexicon": {"method": "ibm1"},
        "backbone": {**backbone, "texts": texts},
        "arms": ["random", "csr"],
    }
    path.write_text(yaml.safe_dump(raw))
    config = read_config(path)
    prepared = next(step for step in steps(config) if step.name == "texts")
    assert f"--sentencepiece-model {made}/out/sentence.bpe.model --dict {made}/out/dict.txt" in " ".join(
        prepared.command
    )
    first = job(config, "backbone", 1)
    command = " ".join(first.command)
    assert f"--sizes-of {made}/out/model.pt --share-all-embeddings --finetune-from-model {made}/out/model.pt" in command
    assert "--monolingual de --langs de,en --language-ids prepend --replace mask" in command
    assert first.start == made / "out/model.pt"
    assert str(job(config, "restore", 1).start) == "seed-1/backbone/model.pt"
    assert "--finetune-from-model" not in job(config, "random", 1).command
    path.write_text(yaml.safe_dump({**raw, "backbone": backbone}))
    assert job(read_config(path), "restore", 1).start == made / "out/model.pt"
    for changed, message in (
        ({"layers": 3}, "backbone.layers: given beside backbone.family encoder, whose checkpoint knows it"),
        ({"langs": []}, "backbone.family: expected backbone.folder and backbone.langs with encoder"),
        ({"texts": [{"lang": "xh", "file": "x"}]}, "backbone.texts: language 'xh': expected one of the model's"),
    ):
        path.write_text(yaml.safe_dump({**raw, "backbone": {**backbone, **changed}}))
        with pytest.raises(ConfigError, match=message):
            read_config(path)


def test_what_does_not_go_together_is_named(made: Path, data: Path, tmp_path: Path, capsys) -> None:
    options = ["--task", "csr_translation", "--source-lang", "de", "--target-lang", "en"]
    config, task = setup(made, data, *options, "--finetune-from-model", str(made / "out/model.pt"), "--langs", "en,de")
    with pytest.raises(DataError, match="expected a model of the dictionary, found one of other pieces or in another"):
        task.build_model(config.model)
    command = ["import-hf", str(made / "hf"), str(tmp_path / "x"), "--decoder-layers", "2"]
    assert main(command) == 2
    assert "--decoder-layers: expected with --langs, found one of them" in capsys.readouterr().err
    assert main([*command, "--langs", "de,de"]) == 2
    assert "--langs: expected each language once, found de,de" in capsys.readouterr().err
    assert not (tmp_path / "x").exists()
