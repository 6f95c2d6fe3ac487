"""Batches of ``csr.hf``: fields, language ids of each family, words in pieces, draws, errors that name an argument."""

from __future__ import annotations

import logging
import pickle
from pathlib import Path

import pytest
import torch
from hf_models import DE, EN, LEXICON, make_tokenizer, write_lexicon, write_sentencepiece

pytest.importorskip("transformers")
from csr.data import subwords
from csr.data.switched import labelled_switcher
from csr.errors import ConfigError, DataError
from csr.hf import SwitchingCollator
from csr.hf.vocabulary import Vocabulary
from csr.switching.masking import Masking
from csr.switching.settings import Labelled, Noise, Pretraining

CLEAN = Noise(rate=0.0)
PAIRS = [{"id": i, "translation": {"de": de, "en": en}} for i, (de, en) in enumerate(zip(DE, EN, strict=True))]
TEXTS = [{"id": i, "text": DE[i % 3], "language": "de"} for i in range(12)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("hf")
    write_lexicon(folder / "de-en.tsv")
    write_lexicon(folder / "en-de.tsv", [(english, german) for german, english in LEXICON])
    write_sentencepiece(folder / "spm.model")
    return folder


@pytest.fixture(scope="module")
def tokenizers(folder):
    """Tokenizers by kind, each made once."""
    made: dict = {}

    def get(kind: str):
        if kind not in made:
            made[kind] = make_tokenizer(kind, folder / kind, folder / "spm.model")
        return made[kind]

    return get


@pytest.fixture
def collator(folder, tokenizers):
    def make(kind: str = "mbart50", task: str = "restore", lexicon: str | None = "de-en.tsv", **settings):
        path = folder / lexicon if lexicon else None
        languages = {"source_lang": "de", "target_lang": "en"}
        return SwitchingCollator(tokenizers(kind), task, path, **{**languages, **settings})

    return make


@pytest.mark.parametrize(
    ("kind", "source", "target"),
    [("cc25", "de_DE", "en_XX"), ("mbart50", "de_DE", "en_XX"), ("nllb", "deu_Latn", "eng_Latn"), ("mt5", None, None)],
)
def test_language_ids_stand_where_the_tokenizer_puts_them(tokenizers, collator, kind, source, target):
    """Pairs as stage two reads them are the tokenizer's own rows; the decoder reads what its model makes of labels."""
    tokenizer = tokenizers(kind)
    if source:
        tokenizer.src_lang, tokenizer.tgt_lang = source, target
    batch = collator(kind, "translation", None)(PAIRS)
    expected = tokenizer(DE, text_target=EN, padding=True, return_tensors="pt")
    pad = tokenizer.pad_token_id
    assert torch.equal(batch["input_ids"], expected["input_ids"])
    assert torch.equal(batch["attention_mask"], expected["attention_mask"])
    assert torch.equal(batch["labels"], expected["labels"].masked_fill(expected["labels"] == pad, -100))
    if kind in ("cc25", "mbart50"):
        from transformers.models.mbart.modeling_mbart import shift_tokens_right

        made = shift_tokens_right(batch["labels"], pad)
    elif kind == "nllb":
        from transformers.models.m2m_100.modeling_m2m_100 import shift_tokens_right

        made = shift_tokens_right(batch["labels"], pad, tokenizer.eos_token_id)
    else:
        from transformers import MT5Config, MT5ForConditionalGeneration

        sizes = {"d_model": 8, "d_kv": 4, "d_ff": 8, "num_layers": 1, "num_heads": 1, "vocab_size": len(tokenizer)}
        model = MT5ForConditionalGeneration(MT5Config(**sizes, decoder_start_token_id=pad, pad_token_id=pad))
        made = model.prepare_decoder_input_ids_from_labels(batch["labels"])
    # What mBART starts with where a row is padding alone does not matter; here each row has its labels.
    read = batch["labels"] != -100
    assert torch.equal(batch["decoder_input_ids"][read], made[read])


@pytest.mark.parametrize("kind", ["bert", "xlmr"])
def test_rows_of_encoders_are_the_tokenizers_own(tokenizers, collator, kind):
    batch = collator(kind, "masked_lm", None, masking=Masking(rate=0.0))(TEXTS)
    expected = tokenizers(kind)([row["text"] for row in TEXTS], padding=True, return_tensors="pt")
    cls, sep = tokenizers(kind).cls_token_id, tokenizers(kind).sep_token_id
    if expected["input_ids"][0, 0] == cls:  # a tokenizer whose file says what goes around a text
        assert torch.equal(batch["input_ids"], expected["input_ids"])
    assert batch["input_ids"][:, 0].tolist() == [cls] * len(TEXTS)
    assert (batch["input_ids"] == sep).sum().item() == len(TEXTS)
    assert (batch["labels"] == -100).all()


def lines(tokenizer, ids) -> list[str]:
    """Rows as text, without padding."""
    pad = tokenizer.pad_token_id
    return [tokenizer.decode([i for i in row if i not in (pad, -100)]) for row in ids.tolist()]


def test_each_side_is_restored_into_its_own_language(tokenizers, collator):
    """All words with a translation become it, the case of the word kept; each example carries its own language."""
    tokenizer = tokenizers("mbart50")
    batch = collator(noise=Noise(policy="independent", rate=1.0, gate=1.0))(PAIRS[:1])
    assert lines(tokenizer, batch["input_ids"]) == [
        "de_DE Der Dog sees den old Tree.</s>",
        "en_XX The hund sieht the alten baum.</s>",
    ]
    assert lines(tokenizer, batch["labels"]) == [f"de_DE {DE[0]}</s>", f"en_XX {EN[0]}</s>"]
    assert lines(tokenizer, batch["decoder_input_ids"]) == [f"</s>de_DE {DE[0]}", f"</s>en_XX {EN[0]}"]


def test_word_translation_has_real_targets_and_sources_word_for_word(tokenizers, collator, folder):
    tokenizer = tokenizers("nllb")
    make = collator("nllb", "word_translation", None, reverse_lexicon=folder / "en-de.tsv")
    batch = make([PAIRS[1], {"id": 5, "text": EN[0], "language": "eng_Latn"}])
    assert lines(tokenizer, batch["input_ids"]) == [
        "deu_Latn The katze drinks kalte milch!</s>",
        "deu_Latn The hund sieht the alten baum.</s>",
    ]
    assert lines(tokenizer, batch["labels"]) == [f"eng_Latn {EN[1]}</s>", f"eng_Latn {EN[0]}</s>"]
    with pytest.raises(DataError, match="row 0: expected a text in the target language"):
        make(TEXTS[:1])


def test_masked_words_are_predicted_and_others_switched(tokenizers, collator):
    tokenizer = tokenizers("bert")
    settings = Pretraining(rate=1.0, gate=1.0, min_length=1, stop_words=("none",))
    make = collator("bert", "masked_lm", noise=settings, masking=Masking(0.3, random=0.0, keep=0.0, whole_words=True))
    batch = make(TEXTS)
    masked = batch["labels"] != -100
    assert (batch["input_ids"][masked] == tokenizer.mask_token_id).all()
    assert masked.sum() > len(TEXTS)
    german = {word for word, _ in LEXICON} & {word.lower() for row in TEXTS for word in row["text"].split()}
    left = " ".join(lines(tokenizer, batch["input_ids"])).lower().split()
    predicted = [tokenizer.decode(row[row != -100]).lower() for row in batch["labels"]]
    assert not german & set(left)  # masked or switched
    assert german & set(" ".join(predicted).split())
    assert not {english for _, english in LEXICON} & set(" ".join(predicted).split())


def test_words_of_labelled_texts_are_switched(tokenizers, collator, folder):
    rows = [{"id": i, "premise": DE[i % 3], "hypothesis": DE[(i + 1) % 3], "label": i % 3} for i in range(40)]
    tokenizer, settings = tokenizers("xlmr"), Labelled(stop_words=("none",))
    batch = collator("xlmr", "sequence_classification", noise=settings, target_lang=None)(rows)
    assert batch["labels"].tolist() == [row["label"] for row in rows]
    clean = tokenizer([row["premise"] for row in rows], [row["hypothesis"] for row in rows])["input_ids"]
    found = lines(tokenizer, batch["input_ids"])
    kept = [i for i in range(40) if found[i] == tokenizer.decode(clean[i])]
    assert 8 < len(kept) < 32  # half of them, drawn anew
    # As csr_sentence_pair draws: the same examples, the same words.
    switcher = labelled_switcher([str(folder / "de-en.tsv")], settings, 1, "de")
    for i, row in enumerate(rows):
        texts = switcher.texts([row["premise"], row["hypothesis"]], 1, i)
        assert found[i] == tokenizer.decode(tokenizer(*texts)["input_ids"])
    bert = collator("bert", "sequence_classification", target_lang=None)([{"id": 1, "text": DE[0], "label": 0.5}])
    assert set(bert) == {"input_ids", "attention_mask", "token_type_ids", "labels"}
    assert bert["labels"].tolist() == [0.5]


def test_tags_stand_at_the_first_piece_of_their_token(tokenizers, collator):
    names = ["O", "B-ANI", "I-ANI"]
    rows = [{"id": 3, "tokens": ["Der", "Hund", "sieht", "Katze", "Milch", "."], "labels": [0, 1, 0, 1, 2, 0]}]
    tokenizer = tokenizers("xlmr")
    for entities, words in (("keep", "Der Hund sees Katze Milch ."), ("switch", "Der Dog sees Cat Milk .")):
        settings = Labelled(originals=0.0, entities=entities, stop_words=("none",))
        make = collator("xlmr", "token_classification", noise=settings, target_lang=None, label_names=names)
        batch = make(rows)
        assert tokenizer.decode(batch["input_ids"][0], skip_special_tokens=True) == words.replace(" .", " .")
        expected = tokenizer(words.split(), is_split_into_words=True)
        first = [place for place, word in enumerate(expected.word_ids()) if word is not None]
        starts = [place for place in first if expected.word_ids()[place] != expected.word_ids()[place - 1]]
        labels = batch["labels"][0].tolist()
        assert [labels[place] for place in starts] == [0, 1, 0, 1, 2, 0]
        assert labels.count(-100) == len(labels) - 6


def test_some_sources_are_masked_for_input_adaptation(tokenizers, collator):
    rows = [{**PAIRS[i % 3], "id": i} for i in range(60)]
    clean, noisy = (
        collator(task="translation", lexicon=None),
        collator(task="translation", lexicon=None, noisy_sources=0.3),
    )
    changed = []
    for epoch in (0, 1):
        noisy.set_epoch(epoch)
        before, after = lines(tokenizers("mbart50"), clean(rows)["input_ids"]), noisy(rows)
        assert torch.equal(after["labels"], clean(rows)["labels"])
        found = lines(tokenizers("mbart50"), after["input_ids"])
        changed.append({i for i in range(60) if before[i] != found[i]})
        assert all("<mask>" in found[i] for i in changed[-1])
    assert 8 < len(changed[0]) < 30
    assert changed[0] != changed[1]


def test_fields_are_padded_as_asked(tokenizers, collator, monkeypatch):
    batch = collator(noise=CLEAN, pad_to_multiple_of=16)(PAIRS)
    assert {name: tuple(array.shape) for name, array in batch.items()} == dict.fromkeys(batch, (6, 32))
    assert {name: array.dtype for name, array in batch.items()} == dict.fromkeys(batch, torch.int64)
    assert torch.equal(batch["attention_mask"] == 1, batch["input_ids"] != tokenizers("mbart50").pad_token_id)
    assert torch.equal(batch["labels"] != -100, batch["decoder_input_ids"] != tokenizers("mbart50").pad_token_id)
    monkeypatch.setattr(tokenizers("mbart50"), "padding_side", "left")
    left = collator(noise=CLEAN, pad_to_multiple_of=16, return_tensors="np")(PAIRS)
    for name, array in left.items():
        padding = {"attention_mask": 0, "labels": -100}.get(name, tokenizers("mbart50").pad_token_id)
        rows = zip(array.tolist(), batch[name].tolist(), strict=True)
        assert all([i for i in a if i != padding] == [i for i in b if i != padding] for a, b in rows)
        assert (array[:, -1] != padding).all()


def test_long_examples_lose_their_end(collator):
    batch = collator(noise=CLEAN, max_length=9)(PAIRS)
    whole = collator(noise=CLEAN)(PAIRS)
    assert batch["input_ids"].shape == (6, 9)
    assert torch.equal(batch["input_ids"][:, :8], whole["input_ids"][:, :8])
    assert (batch["input_ids"][:, 8] == 2).all()


@pytest.mark.parametrize("kind", ["mbart50", "bert"])
def test_words_are_found_in_pieces_as_csr_prepare_finds_them(tokenizers, folder, kind):
    """Also where the tokenizer rewrites text, by its offsets, and in addresses, whose words stay."""
    text = [
        *DE,
        *EN,
        "L'été  d’Aix",
        "siehe www.hund.de/buch!",
        "ﬁne Hunde",
        "x@y.de liest",
        "",
        "狗 Hund",
        "(Milch)-Kind",
    ]
    model = subwords.load(folder / ("spm.model" if kind == "mbart50" else "bert/tokenizer.json"))
    vocabulary = Vocabulary(tokenizers(kind))
    for line, (ids, marks) in zip(text, vocabulary.encode(text, "de"), strict=True):
        normal = " ".join(line.split())
        pieces = [model.id_to_piece(i) for i in model.encode([normal])[0]]
        assert [vocabulary.pieces[i].replace("▁[UNK]", "<unk>") for i in ids] == pieces
        assert marks == subwords.piece_marks(subwords.texts_of(model, normal), "de").tobytes(), line
        assert "".join(vocabulary.texts(normal)).strip() == normal


def test_the_same_batches_with_any_number_of_workers(collator):
    """And new ones each epoch, for workers too that live on."""
    make = collator()
    found = []
    for workers in (0, 1, 4):
        loader = torch.utils.data.DataLoader(
            PAIRS * 4, 2, collate_fn=make, num_workers=workers, persistent_workers=workers == 1
        )
        epochs = []
        for epoch in (0, 1):
            make.set_epoch(epoch)
            epochs.append([batch["input_ids"].tolist() for batch in loader])
        found.append(epochs)
    assert found[0] == found[1] == found[2]
    assert found[0][0] != found[0][1]


def test_rows_encoded_before_have_the_same_batches(collator):
    make, rows = collator(noise=Noise(prefer_aligned=True)), [*PAIRS]
    columns = {"id": [row["id"] for row in rows], "translation": [row["translation"] for row in rows]}
    encoded = make.rows.encode(columns)
    again = [{"id": i, "pieces": encoded["pieces"][i], "marks": encoded["marks"][i]} for i in range(3)]
    expected, batch = make(rows), make(again)
    assert all(torch.equal(expected[name], batch[name]) for name in expected)
    examples = make.transform(columns)
    assert [row.tolist() for row in examples["input_ids"]] == [
        [i for i in row if i != 1] for row in expected["input_ids"].tolist()
    ]


def test_a_collator_comes_back_from_a_pickle_as_it_was(collator, tokenizers, folder):
    make = collator(seed=5)
    make.set_epoch(3)
    again = pickle.loads(pickle.dumps(make))
    assert again.epoch == 3
    assert torch.equal(again(PAIRS)["input_ids"], make(PAIRS)["input_ids"])
    # Calls of the tokenizer leave no trace; another lexicon at the same place does.
    before = pickle.dumps(collator(lexicon="de-en.tsv"))
    tokenizers("mbart50")(DE, truncation=True, max_length=4, padding="max_length")
    assert pickle.dumps(collator(lexicon="de-en.tsv")) == before
    lexicon = folder / "de-en.tsv"
    text = lexicon.read_text()
    lexicon.write_text(text + "allein\talone\t1\n")
    assert pickle.dumps(collator(lexicon="de-en.tsv")) != before
    lexicon.write_text(text)


def test_a_worker_that_is_started_afresh_shares_the_epoch(collator, monkeypatch):
    """What a DataLoader pickles for workers that it spawns, read back here."""
    from multiprocessing.reduction import ForkingPickler

    make = collator()
    monkeypatch.setattr("csr.hf.collator.get_spawning_popen", object)
    there = pickle.loads(ForkingPickler.dumps(make))
    make.set_epoch(4)
    assert there.epoch == 4
    assert torch.equal(there(PAIRS)["input_ids"], make(PAIRS)["input_ids"])


def test_a_row_that_comes_again_without_a_new_epoch_is_warned_of_once(collator, caplog):
    make = collator()
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            make(PAIRS)
    assert [record.getMessage()[:30] for record in caplog.records if "came again" in record.message] == [
        "row 0 came again and will have"
    ]
    caplog.clear()
    make = collator()
    for epoch in range(3):
        make.set_epoch(epoch)
        make(PAIRS)
    assert "came again" not in caplog.text


def test_lexicons_records_name_the_languages(folder, tokenizers, tmp_path):
    lexicon = write_lexicon(tmp_path / "de-en.tsv", languages=("de", "en"))
    make = SwitchingCollator(tokenizers("nllb"), "restore", lexicon)
    assert make.rows.languages == ("de", "en")
    with pytest.raises(ConfigError, match=r"lexicon: expected one of fr and en, found .*de-en.tsv: de into en"):
        SwitchingCollator(tokenizers("nllb"), "restore", lexicon, source_lang="fr", target_lang="en")
    with pytest.raises(ConfigError, match="source_lang: expected the language of the rows"):
        SwitchingCollator(tokenizers("nllb"), "restore", folder / "de-en.tsv")


def test_wrong_arguments_are_named(collator, tokenizers, folder):
    for arguments, message in (
        (
            {"task": "restored"},
            "task: expected restore or translation or .* or token_classification, found 'restored'",
        ),
        ({"return_tensors": "tf"}, "return_tensors: expected pt or np, found 'tf'"),
        ({"lexicon": None}, "lexicon: expected one for noise.replace translation, found none"),
        ({"noise": Noise(replace="mask")}, "lexicon: expected none for noise.replace mask, found one"),
        ({"noise": Pretraining()}, "noise: expected Noise for restore, found Pretraining"),
        ({"noise": Noise(span=5)}, "noise.span: expected with noise.policy fixed alone, found poisson"),
        ({"noise": Noise(schedule="linear")}, "noise.schedule: expected constant, found linear"),
        ({"masking": Masking()}, "masking: expected for masked_lm alone, found it for restore"),
        ({"noisy_sources": 0.1}, "noisy_sources: expected for translation alone"),
        ({"label_names": ["O"]}, "label_names: expected for token_classification alone"),
        ({"task": "token_classification", "label_names": ["O", "B-X"]}, "label_names: expected O and, .* found O, B-X"),
        ({"task": "sequence_classification", "lexicon": None}, "lexicon: expected one out of the rows' language"),
        (
            {"source_lang": "xx"},
            r"source_lang: expected one of the tokenizer's 52 languages \(ar_AR, cs_CZ, .*found 'xx'",
        ),
        (
            {"kind": "nllb", "source_lang": "zh"},
            r"source_lang: .* found 'zh', which several fit \(zho_Hans, zho_Hant\)",
        ),
        ({"kind": "bert"}, "tokenizer: expected one of an encoder-decoder: MBartTokenizer .*; found BertTokenizer"),
        (
            {"kind": "mbart50", "task": "masked_lm"},
            "tokenizer: expected one of an encoder: BertTokenizer .*; found MBart50",
        ),
        ({"kind": "mt5", "lexicon": None, "noise": Noise(replace="mask")}, "tokenizer: expected one with a mask token"),
        ({"task": "translation"}, "lexicon: expected none for translation"),
        ({"task": "word_translation"}, "reverse_lexicon: expected one from the target language to the source"),
        ({"task": "word_translation", "target_lang": None}, "target_lang: expected the language of the targets"),
    ):
        with pytest.raises(ConfigError, match=message):
            collator(**arguments)


def test_wrong_rows_are_named(collator):
    make = collator()
    for row, message in (
        ({"text": DE[0]}, r"row: expected an id, .*, found text; number the rows .*remove_unused_columns=False"),
        ({}, "found nothing; number the rows"),
        ({"id": "a7", "text": DE[0]}, r"row: expected an id that is a whole number from 0 to 2\^62, found 'a7'"),
        ({"id": -1, "text": DE[0]}, "found -1"),
        ({"id": 1 << 62, "text": DE[0]}, "found 4611686018427387904"),
        ({"id": True, "text": DE[0]}, "found True"),
        ({"id": 7, "label": 1}, r"row 7: expected translation \(a text by language\) or text, found id, label"),
        ({"id": 7, "text": DE[0], "language": "fr"}, "row 7: expected a text in de or en, found language 'fr'"),
        ({"id": 7, "translation": {"de": "", "fr": ""}}, "row: expected translation in de and en, found de, fr"),
        ({"id": 7, "translation": {"de": "", "en": None}}, "row 7: expected two texts as translation, found .*None"),
        (
            {"id": 7, "pieces": [b""] * 3, "marks": [b""] * 3},
            "row 7: expected pieces of one sentence or a pair, found 3",
        ),
        (
            {"id": 7, "pieces": [b"\5\0\0\0"], "marks": [b"\1\1"]},
            "as this collator's rows.encode writes them for a voc",
        ),
        ({"id": 7, "pieces": [b"\0\1\0\0"], "marks": [b"\1"]}, "for a vocabulary of .*, found ids up to 256"),
        ({"id": 7, "pieces": [b"", b""], "marks": [b""] * 3}, "row: expected pieces and marks as .* found ids up to 0"),
        ({"id": 7, "pieces": [[5]], "marks": [[1]]}, "row: expected pieces and marks as .* writes them, found other"),
    ):
        with pytest.raises(DataError, match=message):
            make([row])
    tags = collator("xlmr", "token_classification", label_names=["O", "B-X", "I-X"])
    for row, message in (
        (
            {"id": 7, "tokens": ["a"], "labels": [0, 1]},
            "row 7: expected tokens with a label each, found 1 and 2 labels",
        ),
        ({"id": 7, "tokens": ["a"], "labels": [3]}, r"row 7: expected labels from 0 to 2, found \[3\]"),
        ({"id": 7, "tokens": ["a"]}, "row 7: expected label or labels or ner_tags, found id, tokens"),
    ):
        with pytest.raises(DataError, match=message):
            tags([row])
    with pytest.raises(ConfigError, match=r"noise.prefer_aligned: expected rows that are pairs, found a text"):
        collator(noise=Noise(prefer_aligned=True))(TEXTS)
    assert len(make([{"id": "7", "text": DE[0]}])["input_ids"]) == 1


def test_a_lexicon_that_has_none_of_the_words_is_an_error(collator, folder):
    make = collator(lexicon="en-de.tsv")  # the other way round
    message = r"lexicon: expected one with words of the rows, found not one of .*en-de.tsv"
    with pytest.raises(DataError, match=message):
        make([{"id": i, "text": DE[i % 3]} for i in range(200)])
    assert len(make.rows.encode({"id": [0], "text": [DE[0]]})["pieces"]) == 1


def test_tokenizers_of_other_kinds_are_refused(collator, tokenizers, folder):
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import ByT5Tokenizer, PreTrainedTokenizerFast

    with pytest.raises(ConfigError, match=r"tokenizer: expected a fast one .*, found ByT5Tokenizer; csr switch"):
        SwitchingCollator(ByT5Tokenizer(), "restore", folder / "de-en.tsv", source_lang="de", target_lang="en")
    backend = Tokenizer(models.BPE({"Ġ": 0, "a": 1}, []))
    backend.pre_tokenizer = pre_tokenizers.ByteLevel()
    with pytest.raises(ConfigError, match=r"tokenizer: expected pieces of SentencePiece \(▁\) or WordPiece .*\(BPE\)"):
        Vocabulary(PreTrainedTokenizerFast(tokenizer_object=backend))


def test_data_sets_map_the_same_function_once_and_stream(collator, tmp_path):
    datasets = pytest.importorskip("datasets")
    make = collator()
    data = datasets.Dataset.from_list(PAIRS)
    encoded = data.map(make.rows.encode, batched=True, remove_columns=["translation"])
    expected = make(PAIRS)["input_ids"].tolist()
    assert make(list(encoded))["input_ids"].tolist() == expected
    # The fingerprint is that of what decides: not of the collator, but of its tokenizer, languages and length.
    again = data.map(collator(seed=7).rows.encode, batched=True, remove_columns=["translation"])
    assert again._fingerprint == encoded._fingerprint
    other = data.map(collator(max_length=20).rows.encode, batched=True, remove_columns=["translation"])
    assert other._fingerprint != encoded._fingerprint

    switched = data.map(make.transform, batched=True, remove_columns=data.column_names)
    assert [len(row) for row in switched["input_ids"]] == [sum(i != 1 for i in row) for row in expected]
    repeated = data.map(collator().transform, batched=True, remove_columns=data.column_names)
    assert repeated._fingerprint == switched._fingerprint
    make.set_epoch(1)
    moved = data.map(make.transform, batched=True, remove_columns=data.column_names)
    assert moved._fingerprint != switched._fingerprint
    assert moved["input_ids"] != switched["input_ids"]

    make.set_epoch(0)
    lazy = datasets.Dataset.from_list(TEXTS).with_transform(make.transform)
    first = [lazy[i]["input_ids"].tolist() for i in range(12)]
    make.set_epoch(1)
    assert [lazy[i]["input_ids"].tolist() for i in range(12)] != first
    stream = datasets.Dataset.from_list(TEXTS).to_iterable_dataset().map(make.transform, batched=True, batch_size=5)
    make.set_epoch(0)
    assert [list(row["input_ids"]) for row in stream] == first
