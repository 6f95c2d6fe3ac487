"""Encoders to and from the Hugging Face library: equal logits and ids there and back, and folders that do not fit."""

import json
import shutil
from argparse import Namespace
from pathlib import Path

import pytest
import torch
from encoders import Task, read_encoder
from safetensors.torch import load_file, save_file

from csr.backbone.encoder_hf import export_encoder, import_encoder, is_encoder
from csr.data import subwords
from csr.data.labelled import Pieces
from csr.errors import ConfigError, DataError
from fairseq_plugins.encoder import CsrBert

LINES = ["the cat sat on the mat", "a dog ran to the river", "who saw the dog and the cat", "rivers run, cats do not"]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with ``model.pt`` of random weights, ``dict.txt`` and ``sentence.bpe.model``."""
    folder = tmp_path_factory.mktemp("trained")
    subwords.train([LINES], 60, folder / "sentence.bpe.model")
    model = subwords.load(folder / "sentence.bpe.model")
    subwords.write_dictionary(subwords.model_pieces(model), {}, folder / "dict.txt")
    sizes = {"encoder_layers": 2, "encoder_embed_dim": 16, "encoder_ffn_embed_dim": 24, "encoder_attention_heads": 4}
    settings = Namespace(**sizes, max_positions=32, activation_fn="gelu", dropout=0.1, attention_dropout=0.1)
    torch.manual_seed(1)
    encoder = CsrBert.build_model(settings, Task(folder / "dict.txt"))
    for weight in encoder.parameters():  # also those that begin as zeros or ones
        torch.nn.init.normal_(weight, std=0.3)
    state = {"model": encoder.state_dict(), "cfg": {"model": vars(settings), "task": {"_name": "csr_masked_lm"}}}
    torch.save(state, folder / "model.pt")
    return folder


@pytest.fixture(scope="module", params=("xlm-roberta", "bert"))
def exported(request: pytest.FixtureRequest, trained: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("exported") / request.param
    export_encoder(trained / "model.pt", out, layout=request.param)
    return out


@torch.inference_mode()
def test_the_library_gives_equal_logits(trained: Path, exported: Path) -> None:
    from transformers import AutoModelForMaskedLM, AutoTokenizer

    theirs = AutoModelForMaskedLM.from_pretrained(exported).eval()
    assert type(theirs).__name__ == {"bert": "BertForMaskedLM"}.get(exported.name, "XLMRobertaForMaskedLM")
    batch = AutoTokenizer.from_pretrained(exported)(LINES, padding=True, return_tensors="pt")
    ours, _ = read_encoder(trained)(batch["input_ids"])
    kept = batch["attention_mask"].bool()
    assert not kept.all()  # some rows are padded
    logits = theirs(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"]).logits
    torch.testing.assert_close(logits[kept], ours[kept], rtol=0, atol=1e-4)


def test_the_library_gives_equal_ids(trained: Path, exported: Path) -> None:
    """Also of a pair, of words that have no piece of their own, and of the mask."""
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(exported)
    pieces = Pieces(trained / "sentence.bpe.model", trained / "dict.txt")
    for line in [*LINES, "Zebras  ran", " the cat "]:
        (ids,) = pieces([line])
        assert tokenizer(line)["input_ids"] == [0, *ids, 2]
    first, second = pieces(LINES[:2])
    assert tokenizer(LINES[0], LINES[1])["input_ids"] == [0, *first, 2, 2, *second, 2]
    assert tokenizer.mask_token_id == len(Task(trained / "dict.txt").source_dictionary) - 1
    assert tokenizer.convert_ids_to_tokens(0) == "<s>"
    assert tokenizer.model_max_length == 32


def test_there_and_back_is_the_same_model(trained: Path, exported: Path, tmp_path: Path) -> None:
    assert is_encoder(exported)
    sizes = import_encoder(exported, tmp_path).sizes
    before, after = read_encoder(trained).state_dict(), read_encoder(tmp_path).state_dict()
    assert before.keys() == after.keys()
    for name, weight in before.items():
        if name.endswith("embed_positions.weight"):  # rows 0 and 1 are never read
            torch.testing.assert_close(after[name][2:], weight[2:])
        else:
            assert torch.equal(after[name], weight), name
    for name in ("dict.txt", "sentence.bpe.model"):
        assert (tmp_path / name).read_bytes() == (trained / name).read_bytes()
    assert (sizes.layers, sizes.dim, sizes.heads, sizes.positions) == (2, 16, 4, 32)


@torch.inference_mode()
def test_models_that_the_library_saved_are_read(trained: Path, tmp_path: Path) -> None:
    """XLM-R as the library makes it: its own initialisation, an embedding of the sentence, a model in ``.bin``."""
    from transformers import XLMRobertaConfig, XLMRobertaForMaskedLM

    n_pieces = len(subwords.read_dictionary(trained / "dict.txt"))
    sizes = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 24}
    config = XLMRobertaConfig(
        vocab_size=n_pieces + 5, max_position_embeddings=34, type_vocab_size=1, layer_norm_eps=0.01, **sizes
    )
    torch.manual_seed(1)
    theirs = XLMRobertaForMaskedLM(config).eval()
    theirs.save_pretrained(tmp_path / "hf", safe_serialization=False)
    shutil.copy(trained / "sentence.bpe.model", tmp_path / "hf/sentencepiece.bpe.model")
    import_encoder(tmp_path / "hf", tmp_path / "ours")
    ids = torch.tensor([[0, 5, 6, 7, 2], [0, 8, 2, 1, 1]])
    ours, _ = read_encoder(tmp_path / "ours")(ids)
    kept = ids.ne(1)
    logits = theirs(input_ids=ids, attention_mask=kept.long()).logits
    torch.testing.assert_close(logits[kept], ours[kept], rtol=0, atol=1e-4)


def test_an_imported_encoder_can_be_finetuned(exported: Path, tmp_path: Path) -> None:
    from csr.experiments.encoders import encoder_sizes

    import_encoder(exported, tmp_path)
    assert encoder_sizes(tmp_path / "model.pt", tmp_path / "dict.txt")["encoder_embed_dim"] == 16
    from fairseq import checkpoint_utils

    import fairseq_plugins  # noqa: F401

    state = checkpoint_utils.load_checkpoint_to_cpu(str(tmp_path / "model.pt"))
    assert state["optimizer_history"][-1]["num_updates"] == 0
    assert state["extra_state"]["train_iterator"]["epoch"] == 1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"model_type": "gpt2"}, "expected model_type to be mbart, xlm-roberta, bert, distilbert, found gpt2"),
        ({"hidden_act": "relu"}, "expected hidden_act to be gelu, found relu"),
        ({"vocab_size": 9}, "expected a vocabulary of the .* symbols of its tokenizer"),
        ({"num_hidden_layers": 3}, "expected a weight .*layer.2.*, found none"),
        ({"num_hidden_layers": 1}, "expected an encoder such as .*, found a weight .*layer.1"),
        ({"hidden_size": None}, "expected a number for hidden_size, found None"),
        ({"max_position_embeddings": 99}, r"expected .*embed_positions.weight of \(99|expected .*of \(101"),
    ],
)
def test_folders_of_other_models_are_refused(
    exported: Path, tmp_path: Path, change: dict[str, object], message: str
) -> None:
    folder = tmp_path / "hf"
    shutil.copytree(exported, folder)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | change))
    with pytest.raises(DataError, match=message):
        import_encoder(folder, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_files_that_do_not_belong_together_are_refused(exported: Path, trained: Path, tmp_path: Path) -> None:
    folder = tmp_path / "hf"
    shutil.copytree(exported, folder)
    (folder / "sentencepiece.bpe.model").rename(folder / "model")
    (folder / "tokenizer.json").rename(folder / "tokenizer")
    with pytest.raises(
        DataError, match=r"expected tokenizer\.json, sentencepiece\.bpe\.model or vocab\.txt, found none"
    ):
        import_encoder(folder, tmp_path / "out")
    shutil.copy(exported / "sentencepiece.bpe.model", folder)
    weights = load_file(folder / "model.safetensors")
    output = {"bert": "cls.predictions.decoder.weight"}.get(exported.name, "lm_head.decoder.weight")
    save_file({**weights, output: torch.zeros(3, 3)}, folder / "model.safetensors")
    with pytest.raises(DataError, match="with tied output, found a weight"):
        import_encoder(folder, tmp_path / "out")
    with pytest.raises(ConfigError, match="expected a new folder"):
        export_encoder(trained / "model.pt", exported)
    (tmp_path / "dict.txt").write_text("a 1\n")
    with pytest.raises(DataError, match=r"dict\.txt: expected the pieces of .*, found others"):
        export_encoder(trained / "model.pt", tmp_path / "new", tmp_path / "dict.txt")
    torch.save({"model": {"encoder.x": torch.zeros(1)}}, tmp_path / "model.pt")
    with pytest.raises(DataError, match="expected a BERT encoder"):
        export_encoder(tmp_path / "model.pt", tmp_path / "new", trained / "dict.txt", trained / "sentence.bpe.model")
    assert not (tmp_path / "new").exists()
