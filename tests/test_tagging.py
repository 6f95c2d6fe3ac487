"""Fine-tuning an encoder: examples as text, batches, learning a handful of sentences, tags for all tokens."""

import random
import shutil
from argparse import Namespace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import fairseq_plugins  # noqa: F401  (registers the tasks)
from csr.cli import main
from csr.data import subwords
from csr.data.labelled import Pieces, pair_examples, tag_examples, tag_names
from csr.data.ner import Sentence, write_ner
from csr.data.nli import NliExample, write_nli
from csr.errors import ConfigError, DataError
from csr.evaluation.classification import entity_f1
from csr.experiments import zero_shot
from csr.experiments.encoders import Encoder, Finetuning, finetune
from csr.experiments.zero_shot import TestSet
from csr.report.zero_shot import scores_table
from fairseq_plugins.classification import ClassificationConfig, ClassificationCriterion, ClassificationTask
from fairseq_plugins.labeller import Labeller, read_labeller
from fairseq_plugins.sentence_pair import SentencePairTask
from fairseq_plugins.tagging import TaggingConfig, TaggingTask

TYPES = ("LOC", "PER")
NAMES, PLACES, OTHERS = ("Anna Lind", "Ben", "Cara"), ("Oslo", "New York", "Rome"), ("saw", "left", "and", "liked")


def sentences(n: int, seed: int = 0) -> list[Sentence]:
    """Sentences such as Anna/B-PER Lind/I-PER left/O Oslo/B-LOC."""
    draw = random.Random(seed)
    out = []
    for _ in range(n):
        tokens: list[str] = []
        tags: list[str] = []
        for kind, choices in (("PER", NAMES), ("", OTHERS), ("LOC", PLACES), ("", OTHERS)):
            words = draw.choice(choices).split()
            tokens += words
            tags += [f"{'I' if i else 'B'}-{kind}" if kind else "O" for i in range(len(words))]
        out.append(Sentence(tuple(tokens), tuple(tags)))
    return out


def pairs(n: int, seed: int = 0) -> list[NliExample]:
    """Pairs whose label is told by the verb of the hypothesis."""
    draw = random.Random(seed)
    verbs = {"entailment": "liked", "neutral": "saw", "contradiction": "left"}
    out = []
    for i in range(n):
        label = list(verbs)[i % 3]
        name, place = draw.choice(NAMES), draw.choice(PLACES)
        out.append(NliExample(f"{name} liked {place}", f"{name} {verbs[label]} {place}", label))
    return out


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a vocabulary, and named entities and sentence pairs to learn."""
    folder = tmp_path_factory.mktemp("labelled")
    subwords.train([[" ".join(s.tokens) for s in sentences(300)]], 40, folder / "spm.model")
    model = subwords.load(folder / "spm.model")
    subwords.write_dictionary(subwords.model_pieces(model), {}, folder / "dict.txt")
    write_ner(sentences(24), folder / "ner.txt")
    write_nli(pairs(24), folder / "nli.tsv")
    return folder


def make_task(folder: Path, kind: str, **changed: object) -> ClassificationTask:
    given = {"data": str(folder), "sentencepiece_model": str(folder / "spm.model"), "seed": 1, **changed}
    if kind == "ner":
        return TaggingTask(TaggingConfig(**{"types": ",".join(TYPES), "train": str(folder / "ner.txt"), **given}))
    return SentencePairTask(ClassificationConfig(**{"train": str(folder / "nli.tsv"), **given}))


def encoder_settings() -> Namespace:
    sizes = {"encoder_layers": 1, "encoder_embed_dim": 32, "encoder_ffn_embed_dim": 64, "encoder_attention_heads": 2}
    return Namespace(**sizes, max_positions=128, dropout=0.0, attention_dropout=0.0)


@pytest.fixture(scope="module", params=["ner", "nli"])
def learned(request: pytest.FixtureRequest, folder: Path) -> tuple[str, Path, float]:
    """A kind of task, a checkpoint that has learned its handful of examples, and its accuracy on them."""
    task = make_task(folder, request.param, max_length=32)
    task.load_dataset("train")
    torch.manual_seed(1)
    model = task.build_model(encoder_settings())
    dataset, criterion = task.datasets["train"], ClassificationCriterion(task)
    batch = dataset.collater([dataset[i] for i in range(len(dataset))])
    optimizer = torch.optim.Adam(model.parameters(), 2e-3)
    for _ in range(500):
        loss, n, logged = criterion(model, batch)
        if logged["correct"] == n:
            break
        optimizer.zero_grad()
        (loss / n).backward()
        optimizer.step()
    path = folder / f"{request.param}.pt"
    config = {"task": {"_name": f"csr_{'tagging' if request.param == 'ner' else 'sentence_pair'}"}}
    config["task"] |= {"max_length": 32, "types": ",".join(TYPES)}
    config["task"] |= {"data": str(folder), "sentencepiece_model": str(folder / "spm.model")}
    config["model"] = vars(model.args)
    torch.save({"model": model.state_dict(), "cfg": config}, path)
    return request.param, path, float(logged["correct"]) / n


def shown(task: ClassificationTask, ids: np.ndarray) -> str:
    return " ".join(task.dictionary[int(i)] for i in ids)


def test_a_sentence_as_text(folder: Path) -> None:
    """The tag of a token stands at its first piece; every token begins with the sign for a space."""
    task = make_task(folder, "ner")
    sentence = Sentence(("Ben", "and", "Anna", "Lind"), ("B-PER", "O", "B-PER", "I-PER"))
    (example,) = tag_examples([sentence], task.pieces, tag_names(TYPES), 64)
    text = shown(task, example.ids)
    assert text.startswith("<s> ▁")
    assert text.endswith(" </s>")
    assert text[4:-5].replace(" ", "").replace("▁", " ") == " Ben and Anna Lind"
    assert [shown(task, example.ids[[i]])[:1] for i in example.positions] == ["▁"] * 4
    assert [tag_names(TYPES)[i] for i in example.labels] == ["B-PER", "O", "B-PER", "I-PER"]


def test_a_pair_as_text(folder: Path) -> None:
    task = make_task(folder, "nli")
    (example,) = pair_examples([NliExample("Ben left", "Cara left", "contradiction")], task.pieces, 64)
    text = shown(task, example.ids).replace(" ", "").replace("▁", " ")
    assert text == "<s> Ben left</s></s> Cara left</s>"
    assert example.positions.tolist() == [0]
    assert example.labels.tolist() == [2]


def test_the_longer_sentence_of_a_pair_is_cut(folder: Path) -> None:
    task = make_task(folder, "nli")
    long, short = " ".join(["and"] * 90), "Ben left"
    for pair in ((long, short), (short, long), (long, long)):
        (example,) = pair_examples([NliExample(*pair, "neutral")], task.pieces, 40)
        assert len(example.ids) == 40
        sides = [side.strip("</s> ") for side in shown(task, example.ids).split("</s> </s>")]
        kept = [short in side.replace(" ", "").replace("▁", " ") for side in sides]
        assert kept == [side == short for side in pair]


def test_a_batch_by_hand(folder: Path) -> None:
    """Ben ``left`` ``Rome`` and one of a token less: positions count through the padded rows, labels go along."""
    task = make_task(folder, "ner")
    given = [
        Sentence(("Ben", "left", "Rome"), ("B-PER", "O", "B-LOC")),
        Sentence(("Rome", "left"), ("B-LOC", "O")),
    ]
    examples = tag_examples(given, task.pieces, tag_names(TYPES), 64)
    dataset = task.as_dataset(examples)
    batch = dataset.collater([dataset[0], dataset[1]])
    rows, positions = batch["net_input"]["src_tokens"], batch["net_input"]["positions"]
    assert rows[1].tolist() == [*examples[1].ids, *[task.dictionary.pad()] * (len(rows[0]) - len(examples[1].ids))]
    assert (rows[:, 0] == task.dictionary.bos()).all()
    # O B-LOC I-LOC B-PER I-PER
    assert batch["target"].tolist() == [3, 0, 1, 1, 0]
    firsts = [int(task.pieces([token])[0][0]) for sentence in given for token in sentence.tokens]
    assert rows.flatten()[positions].tolist() == firsts
    assert batch["ntokens"] == sum(len(example.ids) for example in examples)


def test_the_loss_is_over_first_pieces_alone(folder: Path) -> None:
    task = make_task(folder, "ner")
    task.load_dataset("train")
    torch.manual_seed(1)
    model = task.build_model(encoder_settings()).eval()
    dataset = task.datasets["train"]
    batch = dataset.collater([dataset[i] for i in range(4)])
    loss, n, _ = ClassificationCriterion(task)(model, batch)
    assert n == sum(len(sentence.tokens) for sentence in sentences(4)) == len(batch["target"])
    features, _ = super(type(model), model).forward(batch["net_input"]["src_tokens"], features_only=True)
    by_hand = 0.0
    for row, i in enumerate(batch["id"].tolist()):
        example = dataset[i][1]
        for position, label in zip(example.positions, example.labels, strict=True):
            by_hand -= model.head(features[row, position]).log_softmax(0)[label].item()
    assert loss.item() == pytest.approx(by_hand, rel=1e-5)


def test_a_handful_of_examples_is_learned(learned: tuple[str, Path, float]) -> None:
    assert learned[2] > 0.99


def test_one_checkpoint_scores_the_test_sets_of_several_languages(
    learned: tuple[str, Path, float], folder: Path, tmp_path: Path
) -> None:
    kind, checkpoint, _ = learned
    labeller = read_labeller(checkpoint, folder, folder / "spm.model")
    name = "ner.txt" if kind == "ner" else "nli.tsv"
    other = tmp_path / name
    if kind == "ner":
        write_ner(sentences(10, seed=5), other)
    else:
        write_nli(pairs(10, seed=5), other)
    scores = zero_shot.evaluate(labeller, {"xx": TestSet(folder / name, "xx"), "yy": TestSet(other, "yy")}, tmp_path)
    assert scores["xx"]["macro" if kind == "ner" else "accuracy"] > 0.99
    assert (tmp_path / "predictions/yy.txt").is_file()
    assert "| xx |" in scores_table(scores).markdown()
    if kind == "ner":
        assert set(scores["yy"]["types"]) == set(TYPES)
        assert scores["yy"]["sentences"] == 10


def test_an_exported_model_gives_the_labels_of_the_model(
    learned: tuple[str, Path, float], folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Also of sentences longer than the model reads at once, and of lines that show nothing."""
    kind, checkpoint, _ = learned
    out = tmp_path / "exported"
    command = ["export-hf", str(checkpoint), str(out), "--dict", str(folder / "dict.txt")]
    assert main([*command, "--sentencepiece-model", str(folder / "spm.model")]) == 0
    capsys.readouterr()
    if kind == "ner":
        lines = [" ".join(sentence.tokens) for sentence in sentences(10, seed=5)]
        lines += ["", " ".join(lines * 5), "ψ Anna"]
    else:
        lines = [f"{pair.premise}\t{pair.hypothesis}" for pair in pairs(10, seed=5)] + [" "]
    (tmp_path / "new").write_text("".join(f"{line}\n" for line in lines))
    shutil.copy(checkpoint, tmp_path / "model.pt")
    printed = []
    for place in (tmp_path, out):
        assert main(["classify", str(place), "--input", str(tmp_path / "new"), "--scores"]) == 0
        printed.append([line.split("\t") for line in capsys.readouterr().out.splitlines()])
    ours, theirs = printed
    assert [row[:-1] for row in theirs] == [row[:-1] for row in ours]
    probabilities = [[float(row[-1]) for row in rows if len(row) > 1] for rows in printed]
    assert probabilities[1] == pytest.approx(probabilities[0], abs=2e-4)
    if kind == "ner":
        assert [row[0] for row in ours if row[0]] == " ".join(lines).split()
        assert len({row[1] for row in ours if len(row) > 1}) > 1
        assert sum(row == [""] for row in ours) == len(lines)
    else:
        assert [len(row) for row in ours] == [2] * 10 + [1]
        (tmp_path / "new").write_text("no pair\n")
        assert main(["classify", str(tmp_path), "--input", str(tmp_path / "new")]) == 2
        assert "line 1: expected premise<TAB>hypothesis, found 1 columns" in capsys.readouterr().err
    assert main(["classify", str(out), "--arm", "csr"]) == 2
    assert f"--arm: expected with a folder of csr run, found {out}" in capsys.readouterr().err


class ById(torch.nn.Module):
    """A model whose label is told by the id at the position: what a token gets does not depend on its neighbours."""

    def forward(self, src_tokens: torch.Tensor, positions: torch.Tensor) -> torch.Tensor:
        return torch.nn.functional.one_hot(src_tokens.flatten()[positions] % 5, 5).float()


def test_a_file_of_several_languages_is_read_in_the_one_that_is_asked_for(
    learned: tuple[str, Path, float], folder: Path, tmp_path: Path
) -> None:
    kind, checkpoint, _ = learned
    if kind == "ner":
        pytest.skip("a format of XNLI")
    path = tmp_path / "xnli.test.tsv"
    rows = [f"{language}\tneutral\tBen liked Rome\tBen saw Rome\n" for language in ("de", "de", "sw")]
    path.write_text("language\tgold_label\tsentence1\tsentence2\n" + "".join(rows))
    labeller = read_labeller(checkpoint, folder, folder / "spm.model")
    scores = zero_shot.evaluate(labeller, {"dev": TestSet(path, "de"), "sw": TestSet(path, "sw")}, tmp_path)
    assert (scores["dev"]["total"], scores["sw"]["total"]) == (2, 1)


@given(st.lists(st.lists(st.sampled_from(["Anna", "saw", "", "andleftRomeOslo" * 5, "ψ"]), max_size=80), max_size=4))
@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_every_token_gets_a_tag_however_long_its_sentence(folder: Path, given_tokens: list[list[str]]) -> None:
    """Windows of 16 ids over sentences of up to a thousand: each token is read once, at its own first piece."""
    task = make_task(folder, "ner", max_length=16)
    found = Labeller(ById(), task, torch.device("cpu")).tag(given_tokens)  # type: ignore[arg-type]
    expected = [[task.labels[int(ids[0]) % 5] for ids in task.pieces(tokens)] for tokens in given_tokens]
    assert found == expected


def test_macro_f1_is_the_mean_over_types() -> None:
    """Four places, of which two are found and nothing else: P 1, R 1/2, F 2/3; the one person is missed: F 0.

    Micro: P 1, R 2/5, F 4/7. A span that is a token short counts as wrong.
    """
    ref = [["B-LOC", "I-LOC", "O", "B-LOC"], ["B-LOC", "B-PER", "O", "B-LOC"]]
    hyp = [["B-LOC", "I-LOC", "O", "B-LOC"], ["O", "O", "O", "O"]]
    scores = entity_f1(hyp, ref)
    assert scores.types == pytest.approx({"LOC": 2 / 3, "PER": 0.0})
    assert scores.macro == pytest.approx(1 / 3)
    assert scores.micro == pytest.approx(4 / 7)
    short = entity_f1([["B-LOC", "O", "O", "B-LOC"], ["O", "O", "O", "O"]], ref)
    assert short.types["LOC"] == pytest.approx(2 * 0.5 * 0.25 / 0.75)


def test_a_pretrained_encoder_keeps_its_weights_and_gets_a_new_head(folder: Path) -> None:
    torch.manual_seed(1)
    pretrained = make_task(folder, "nli").build_model(encoder_settings()).state_dict()
    pretrained = {key: value for key, value in pretrained.items() if not key.startswith("head.")}
    pretrained["encoder.lm_head.bias"] = torch.zeros(3)  # what csr_masked_lm trains besides
    torch.manual_seed(2)
    model = make_task(folder, "ner").build_model(encoder_settings())
    head = model.head.out.weight.clone()
    model.load_state_dict(pretrained)
    assert torch.equal(model.head.out.weight, head)
    weight = "encoder.sentence_encoder.layers.0.fc1.weight"
    assert torch.equal(model.state_dict()[weight], pretrained[weight])


def test_what_does_not_fit_together_is_named(learned: tuple[str, Path, float], folder: Path, tmp_path: Path) -> None:
    kind, checkpoint, _ = learned
    state = torch.load(checkpoint, weights_only=True)
    with pytest.raises(DataError, match="expected a head of 9 labels, found one of"):
        make_task(folder, "ner", types="A,B,C,D").build_model(encoder_settings()).load_state_dict(dict(state["model"]))
    with pytest.raises(DataError, match="expected a BERT encoder"):
        make_task(folder, "ner").build_model(encoder_settings()).load_state_dict({"decoder.x": torch.zeros(1)})
    (tmp_path / "dict.txt").write_text("".join((folder / "dict.txt").read_text().splitlines(True)[:-1]))
    with pytest.raises(DataError, match=r"\.pt: checkpoint: expected the data's"):
        read_labeller(checkpoint, tmp_path, folder / "spm.model")
    torch.save({"model": state["model"], "cfg": {"task": {"_name": "translation"}}}, tmp_path / "other.pt")
    with pytest.raises(
        DataError, match="expected a model trained by csr_tagging or csr_sentence_pair or csr_text, found"
    ):
        read_labeller(tmp_path / "other.pt", folder, folder / "spm.model")
    write_ner([Sentence(("May",), ("B-DATE",))], tmp_path / "date.txt")
    with pytest.raises(DataError, match=r"date\.txt:1: expected an entity of type LOC, PER, found B-DATE"):
        make_task(folder, "ner", train=str(tmp_path / "date.txt")).load_dataset("train")
    with pytest.raises(ConfigError, match="--types: expected each type once"):
        make_task(folder, "ner", types="LOC,LOC")
    with pytest.raises(ConfigError, match="--max-length: expected at most 128 positions"):
        make_task(folder, kind, max_length=129).build_model(encoder_settings())
    with pytest.raises(DataError, match=r"nowhere.*: no such file"):
        make_task(tmp_path / "nowhere", kind)


def test_a_vocabulary_that_does_not_match_the_checkpoint_is_named_before_training(
    learned: tuple[str, Path, float], folder: Path, tmp_path: Path
) -> None:
    kind, checkpoint, _ = learned
    train = folder / ("ner.txt" if kind == "ner" else "nli.tsv")
    shutil.copy(folder / "spm.model", tmp_path)
    lines = (folder / "dict.txt").read_text().splitlines(True)
    for found, message in ((lines[:-1], "entries of .*dict.txt and <mask>, found"), (lines[::-1], "as many others")):
        (tmp_path / "dict.txt").write_text("".join(found))
        encoder = Encoder(checkpoint, tmp_path, tmp_path / "spm.model")
        with pytest.raises(DataError, match=message):
            finetune(kind, encoder, train, tmp_path / "out", Finetuning(max_length=32), types=TYPES)  # type: ignore[arg-type]
    assert not (tmp_path / "out").exists()


def test_text_that_shows_nothing_is_one_unknown_piece(folder: Path) -> None:
    pieces = Pieces(folder / "spm.model", folder / "dict.txt")
    assert [ids.tolist() for ids in pieces(["", " "])] == [[3], [3]]
