"""Switching in labelled text: what is switched, that labels go with their words, and what fine-tuning sees of it."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import fairseq_plugins  # noqa: F401  (registers the tasks)
from csr.cli import main
from csr.data import subwords
from csr.data.ner import Sentence, write_ner
from csr.data.nli import NliExample, write_nli
from csr.data.switched import LabelledSwitcher, labelled_switcher
from csr.data.text_labels import LabelledText, label_names, read_texts, write_texts
from csr.errors import ConfigError, DataError
from csr.evaluation.classification import macro_f1
from csr.lexicon import Lexicon, write_lexicon
from csr.switching.settings import Labelled
from fairseq_plugins.classification import ClassificationConfig, ClassificationTask
from fairseq_plugins.sentence_pair import SentencePairTask
from fairseq_plugins.tagging import TaggingConfig, TaggingTask
from fairseq_plugins.text_labels import TextConfig, TextTask

# In capitals, so that what was switched, and into which language, can be told.
GERMAN = Lexicon({"left": {"VERLIESS": 1.0}, "town": {"STADT": 1.0}, "old": {"ALTE": 1.0}, "rome": {"ROM": 1.0}})
SWAHILI = Lexicon({"left": {"ALIONDOKA": 1.0}, "town": {"MJI MKUU": 1.0}, "old": {"MZEE": 1.0}, "rome": {"ROMA": 1.0}})
SENTENCE = Sentence(("Anna", "left", "old", "Rome", "Town", "."), ("B-PER", "O", "O", "B-LOC", "I-LOC", "O"))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a vocabulary, two lexicons and a file for each task."""
    folder = tmp_path_factory.mktemp("switched")
    text = ["Anna left old Rome Town .", "VERLIESS STADT ALTE ROM ALIONDOKA MJI MKUU MZEE ROMA the a is good bad"]
    subwords.train([text * 50], 60, folder / "spm.model")
    model = subwords.load(folder / "spm.model")
    subwords.write_dictionary(subwords.model_pieces(model), {}, folder / "dict.txt")
    write_lexicon(GERMAN, folder / "en-de.tsv")
    write_lexicon(SWAHILI, folder / "en-sw.tsv")
    write_ner([SENTENCE] * 20, folder / "ner.txt")
    write_nli([NliExample("Anna left town", "old town", "neutral")] * 20, folder / "nli.tsv")
    write_texts([LabelledText("Anna left town", "news"), LabelledText("old town", "travel")] * 10, folder / "text.tsv")
    return folder


def switcher(lexicon: Lexicon, **changed: object) -> LabelledSwitcher:
    given = Labelled(**{"originals": 0.0, **changed})  # type: ignore[arg-type]
    policy = given.noise.make_policy()
    return LabelledSwitcher([(lexicon.cased(), None)], policy, 1, given.originals, given.entities == "switch")


def test_entities_stay_and_tags_go_with_their_words() -> None:
    """Of "Anna left old Rome Town ." the words outside of entities are switched; two words for one are two tokens."""
    found = switcher(SWAHILI).sentence(SENTENCE, 1, 0)
    assert found.tokens == ("Anna", "ALIONDOKA", "MZEE", "Rome", "Town", ".")
    assert found.tags == SENTENCE.tags
    found = switcher(SWAHILI, entities="switch").sentence(SENTENCE, 1, 0)
    assert found.tokens == ("Anna", "ALIONDOKA", "MZEE", "ROMA", "MJI", "MKUU", ".")
    assert found.tags == ("B-PER", "O", "O", "B-LOC", "I-LOC", "I-LOC", "O")


def test_both_sentences_of_a_pair_go_into_one_language(folder: Path) -> None:
    files = [str(folder / name) for name in ("en-de.tsv", "en-sw.tsv")]
    both = labelled_switcher(files, Labelled(originals=0.0), seed=1)
    found = {tuple(both.texts(("Anna left town.", "old town"), 1, index)) for index in range(20)}
    assert found == {
        ("Anna VERLIESS STADT.", "ALTE STADT"),
        ("Anna ALIONDOKA MJI MKUU.", "MZEE MJI MKUU"),
    }
    # Each word its own.
    mixed = labelled_switcher(files, Labelled(originals=0.0, lexicon_draw="word"), seed=1)
    assert "Anna VERLIESS MJI MKUU." in {mixed.texts(("Anna left town.",), 1, index)[0] for index in range(20)}


@given(
    st.lists(st.sampled_from([*SENTENCE.tokens, "12", "(", "left-town"]), min_size=1, max_size=12),
    st.floats(0, 1),
    st.sampled_from(["keep", "switch"]),
    st.integers(0, 3),
)
@settings(max_examples=60, deadline=None)
def test_what_is_switched_is_a_candidate_and_its_entity_stays_whole(
    tokens: list[str], rate: float, entities: str, index: int
) -> None:
    sentence = Sentence(tuple(tokens), tuple("B-LOC" if token in ("Rome", "Anna") else "O" for token in tokens))
    one = switcher(GERMAN, rate=rate, entities=entities)
    found = one.sentence(sentence, 1, index)
    assert found == one.sentence(sentence, 1, index)
    assert found.tags == sentence.tags  # every word of GERMAN is one for one
    cased = GERMAN.cased().entries
    for old, new, tag in zip(sentence.tokens, found.tokens, sentence.tags, strict=True):
        assert old == new or (new in cased[old] and (tag == "O" or entities == "switch"))
    if rate == 0:
        assert found == sentence


def test_the_share_of_originals_is_as_asked_and_drawn_anew_each_epoch() -> None:
    """Of 2,000 examples a quarter stays: 500, with a deviation of sqrt(2000 x 3/16) = 19.4; five of them are 97."""
    some = switcher(GERMAN, originals=0.25)
    stay = [[i for i in range(2000) if some.texts(("left",), epoch, i) == ["left"]] for epoch in (1, 2)]
    assert all(abs(len(found) - 500) < 97 for found in stay)
    assert stay[0] != stay[1]


def make_task(folder: Path, kind: str, **changed: object) -> ClassificationTask:
    given = {"data": str(folder), "sentencepiece_model": str(folder / "spm.model"), "seed": 1, **changed}
    if kind == "ner":
        return TaggingTask(TaggingConfig(**{"train": str(folder / "ner.txt"), "types": "LOC,PER", **given}))
    if kind == "nli":
        return SentencePairTask(ClassificationConfig(**{"train": str(folder / "nli.tsv"), **given}))
    return TextTask(TextConfig(**{"train": str(folder / "text.tsv"), "labels": "news,travel", **given}))


def rows(task: ClassificationTask, epoch: int) -> list[str]:
    """The text of each example of an epoch."""
    dataset = task.datasets["train"]
    dataset.set_epoch(epoch)
    ids = [dataset[i][1].ids for i in range(len(dataset))]
    return ["".join(task.dictionary[int(i)] for i in row).replace("▁", " ") for row in ids]


@pytest.mark.parametrize("kind", ["ner", "nli", "text"])
def test_fine_tuning_sees_other_words_each_epoch_and_the_same_labels(folder: Path, kind: str) -> None:
    lexicon = f"{folder}/en-de.tsv:{folder}/en-sw.tsv"
    task, plain = make_task(folder, kind, lexicon=lexicon), make_task(folder, kind)
    for one in (task, plain):
        one.load_dataset("train")
    clean, first, second = rows(plain, 1), rows(task, 1), rows(task, 2)
    assert first != second
    assert first == rows(task, 1)
    together = " ".join(first)
    assert "VERLIESS" in together or "STADT" in together
    assert "MZEE" in together
    assert 0 < sum(a == b for a, b in zip(clean, first, strict=True)) < len(clean)  # originals stay in
    if kind == "ner":  # every word of a translation, inside of the entity of the first
        return
    labels = [
        [dataset[i][1].labels.tolist() for i in range(20)]
        for dataset in (task.datasets["train"], plain.datasets["train"])
    ]
    assert labels[0] == labels[1]


def test_workers_and_order_change_nothing(folder: Path) -> None:
    task = make_task(folder, "text", lexicon=str(folder / "en-sw.tsv"))
    task.load_dataset("train")
    dataset = task.datasets["train"]
    alone = {int(i): row.ids.tolist() for i, row in map(dataset.__getitem__, reversed(range(len(dataset))))}
    loader = torch.utils.data.DataLoader(dataset, batch_size=4, num_workers=2, collate_fn=list)
    assert {i: row.ids.tolist() for batch in loader for i, row in batch} == alone


def test_a_sentence_that_would_grow_past_the_limit_stays(folder: Path) -> None:
    task = make_task(folder, "ner", lexicon=str(folder / "en-sw.tsv"), originals=0.0, entities="switch")
    (clean,) = task.encode([SENTENCE])
    task = make_task(
        folder, "ner", lexicon=str(folder / "en-sw.tsv"), originals=0.0, entities="switch", max_length=len(clean.ids)
    )
    task.load_dataset("train")
    assert len(task.datasets["train"]) == 20
    longest = max(len(task.datasets["train"][i][1].ids) for i in range(20))
    assert longest <= len(clean.ids)


def test_texts_and_labels_as_they_are_published(tmp_path: Path) -> None:
    """Two columns, named columns among others in any order, JSON lines; and what is broken, by its line."""
    path = tmp_path / "a.tsv"
    for content in (
        "so good\tpositive\nso bad\tnegative\n",
        "index_id\tcategory\ttext\n0\tpositive\tso good\n1\tnegative\tso bad\n",
        '{"text": "so good", "label": "positive"}\n\n{"label": "negative", "text": "so bad", "id": 7}\n',
    ):
        path.write_text(content)
        assert read_texts(path) == [LabelledText("so good", "positive"), LabelledText("so bad", "negative")]
    write_texts(read_texts(path), tmp_path / "b.tsv")
    assert read_texts(tmp_path / "b.tsv") == read_texts(path)
    assert label_names(read_texts(path)) == ["negative", "positive"]
    for content, problem in (
        ("a\tb\tc\n", r"a.tsv:1: expected text<TAB>label, or a header with text or sentence"),
        ("good\tpositive\nbad\n", r"a.tsv:2: expected 2 tab-separated fields, found 1"),
        ("good\tpositive\n\tpositive\n", r"a.tsv:2: expected a text and its label, found an empty one"),
        ("good\tso, so\n", r"a.tsv:1: expected a label without a comma, found 'so, so'"),
        ("text\tlabel\n", r"a.tsv: expected at least one text with a label, found none"),
        ('{"text": "good"}\n', r"a.tsv:1: expected the keys text or sentence"),
        ('{"text": 3, "label": "x"}\n', r"a.tsv:1: expected a text and its label, found"),
    ):
        path.write_text(content)
        with pytest.raises(DataError, match=problem):
            read_texts(path)
    path.write_text("good\tpositive\nbad\tnegative\n")
    with pytest.raises(DataError, match=r"a.tsv:2: expected a label of positive, found 'negative'"):
        read_texts(path, ["positive"])


def test_macro_f1_by_hand() -> None:
    """a: precision 1, recall 2/3, F1 4/5; b: 1/2 and 1/2; c is in the outputs alone: 0. The mean is 13/30."""
    assert macro_f1(["a", "a", "b", "b", "c"], ["a", "a", "a", "b", "b"]) == pytest.approx(13 / 30)


def test_wrong_settings_are_named(folder: Path) -> None:
    with pytest.raises(ConfigError, match="--labels: expected two or more, each once"):
        make_task(folder, "text", labels="news")
    task = make_task(folder, "text", lexicon=str(folder / "en-de.tsv"), originals=2.0)
    with pytest.raises(ConfigError, match="--originals: expected at least 0 and at most 1, found 2"):
        task.load_dataset("train")


@pytest.mark.parametrize("kind", ["ner", "nli", "text"])
def test_a_file_is_switched_as_training_sees_it(
    folder: Path, kind: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Both epochs of the file, encoded, are the rows of both epochs of training."""
    source = folder / ("ner.txt" if kind == "ner" else f"{kind}.tsv")
    lexicons = [str(folder / name) for name in ("en-de.tsv", "en-sw.tsv")]
    command = ["switch-labels", kind, "--lexicon", *lexicons, "--input", str(source), "--epochs", "2"]
    assert main([*command, "--output", str(tmp_path / "out.tsv")]) == 0
    assert "40 examples, " in capsys.readouterr().err
    task = make_task(folder, kind, lexicon=":".join(lexicons))
    task.load_dataset("train")
    plain = make_task(folder, kind, train=str(tmp_path / "out.tsv"))
    plain.load_dataset("train")
    assert rows(plain, 1) == rows(task, 1) + rows(task, 2)


def test_texts_are_switched_into_json_lines_too(folder: Path, tmp_path: Path) -> None:
    command = ["switch-labels", "text", "--lexicon", str(folder / "en-de.tsv"), "--input", str(folder / "text.tsv")]
    assert main([*command, "--originals", "0", "--output", str(tmp_path / "out.jsonl")]) == 0
    first, *_ = (tmp_path / "out.jsonl").read_text().splitlines()
    assert first == '{"text": "Anna VERLIESS STADT", "label": "news"}'
    assert main([*command, "--entities", "switch"]) == 2
