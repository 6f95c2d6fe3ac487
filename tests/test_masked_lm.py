"""Masked language modelling on switched text: the rules, the compiled twin, the task, and figures on real text."""

from __future__ import annotations

import argparse
import gzip
import itertools
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tiny_training import epochs

from csr.data.blocks import pack
from csr.data.mixture import mixture
from csr.data.sampling import Source
from csr.errors import ConfigError, DataError
from csr.lexicon import Lexicon
from csr.switching.compiled_masking import STATS, MaskingSwitcher
from csr.switching.compiled_words import find_words
from csr.switching.encoded import encode_lexicon
from csr.switching.masking import Masking, Symbols, mask_and_switch
from csr.switching.noise import IndependentWords
from csr.switching.streams import Stream
from csr.switching.symbols import piece_roles

DATA = Path(__file__).parents[2] / "shared/data"
WORDS = ["aa", "bbb", "c", "dd", "eea"]
TRANSLATIONS = ["x", "xy", "yxyx", "yy"]
# Every word can be written: "▁" and its letters.
PIECES = ["<s>", "<pad>", "</s>", "<unk>", *[f"▁{c}" for c in "abcdexy"], *"abcdexy", ".", "<mask>"]
INDEX = {piece: i for i, piece in enumerate(PIECES)}
ROLES = piece_roles(PIECES)
PAD, EOS, MASK = 1, 2, INDEX["<mask>"]
SYMBOLS = Symbols(PAD, 4, MASK)

shares = st.floats(0, 1)
maskings = st.builds(Masking, shares, st.floats(0, 0.5), st.floats(0, 0.5), st.booleans())
policies = st.builds(IndependentWords, shares, shares, st.sampled_from(["words", "switchable"]))
lexicons = st.dictionaries(
    st.sampled_from(WORDS), st.dictionaries(st.sampled_from(TRANSLATIONS), st.floats(0.01, 1), min_size=1), min_size=1
).map(Lexicon)


@st.composite
def blocks(draw):
    """Words, full stops and unknown pieces in rows that end in </s>, after a <s>."""
    rows = draw(st.lists(st.lists(st.sampled_from([*WORDS, ".", "<unk>"]), max_size=12), min_size=1, max_size=3))
    ids = [INDEX["<s>"]]
    for row in rows:
        for word in row:
            ids += [INDEX[word]] if word in (".", "<unk>") else encode([word], True)[0]
        ids.append(EOS)
    return ids


def encode(words, spaced):
    rows = [["▁" * spaced + word[0], *word[1:]] for word in words]
    return [[INDEX[piece] for piece in row] if INDEX.keys() >= set(row) else [] for row in rows]


def word_spans(ids):
    return list(zip(*(edges.tolist() for edges in find_words(np.array(ids), ROLES)), strict=True))


def candidates(lexicon):
    """The lexicon as the readable version takes it: pieces of words after a space."""
    return {
        tuple(encode([word], True)[0]): {tuple(encode([c], True)[0]): p for c, p in lexicon.probs(word).items()}
        for word in lexicon.entries
    }


@given(blocks(), lexicons, maskings, policies, st.integers(0, 2**40), shares)
def test_compiled_twin_makes_the_same_draws(ids, lexicon, masking, policy, index, room):
    limit = len(ids) + int(10 * room)
    words = word_spans(ids)
    expected = mask_and_switch(
        ids, words, candidates(lexicon), masking, policy, SYMBOLS, Stream(7, 3, index), limit
    )  # fmt: skip
    masker = MaskingSwitcher(ROLES, SYMBOLS, masking, 7, limit, encode_lexicon(lexicon, encode), policy)
    block = np.array(ids)
    source, target, stats = masker(block, 3, index)
    assert (source.tolist(), target.tolist()) == (expected.source, expected.target)
    assert block.tolist() == ids
    assert dict(zip(STATS, stats.tolist(), strict=True)) == {
        "blocks": 1,
        "words": len(words),
        "covered": sum(tuple(ids[a:b]) in candidates(lexicon) for a, b in words),
        "switched": len(expected.switched),
        "touched": bool(expected.switched),
        "predicted": sum(piece != PAD for piece in expected.target),
        "pieces": sum(len(unit) for unit in masking.units(ids, words, SYMBOLS)),
        "cut": expected.n_cut,
    }


@given(blocks(), lexicons, maskings, shares, st.integers(0, 2**40))
def test_only_words_without_predicted_piece_are_switched(ids, lexicon, masking, rate, index):
    words = word_spans(ids)
    found = mask_and_switch(
        ids, words, candidates(lexicon), masking, IndependentWords(rate, 1.0), SYMBOLS, Stream(1, 1, index), 1000
    )  # fmt: skip
    assert len(found.source) == len(found.target)
    assert found.n_cut == 0
    # Undoing the switches and filling in what was predicted gives the block back: nothing else changed.
    back, at, done = [], 0, 0
    spans = [(i, *words[i], len(new)) for i, new in found.switched.items()]
    for _, start, end, length in [*spans, (None, len(ids), len(ids), 0)]:
        for i in range(done, start):
            piece, target = found.source[at], found.target[at]
            back.append(piece if target == PAD else target)
            assert target in (PAD, ids[i])
            at += 1
        assert found.target[at : at + length] == [PAD] * length
        back += ids[start:end]
        at, done = at + length, end
    assert back == ids
    for i, new in found.switched.items():
        assert new in candidates(lexicon)[tuple(ids[slice(*words[i])])]


@given(blocks(), lexicons, maskings, policies, st.integers(0, 2**40), st.integers(0, 10))
def test_a_block_that_grows_too_long_loses_its_end_whatever_the_translations(
    ids, lexicon, masking, policy, index, room
):
    def found(limit):
        return mask_and_switch(
            ids, word_spans(ids), candidates(lexicon), masking, policy, SYMBOLS, Stream(1, 1, index), limit
        )  # fmt: skip

    limit = len(ids) + room
    short, long = found(limit), found(1000)
    assert short.source == long.source[:limit]
    assert short.target == long.target[:limit]
    assert short.n_cut == len(long.source) - len(short.source)
    assert short.switched.items() <= long.switched.items()
    assert bool(short.switched) == bool(long.switched)


class Given:
    """A stream of given numbers."""

    def __init__(self, *draws: float) -> None:
        self.left = list(draws)

    def random(self) -> float:
        return self.left.pop(0)

    def below(self, n: int) -> int:
        return int(self.random() * n)


def chosen(policy, available, stream) -> list[int]:
    return policy.choose(available, policy.rate, stream).words


def test_both_readings_of_three_per_cent_by_hand():
    """100 words, 20 of which can be switched: the even ones from 0 to 38."""
    available = [i % 2 == 0 and i < 40 for i in range(100)]
    words, switchable = IndependentWords(), IndependentWords(share_of="switchable")
    # The gate: .49 < .5. 3 % of 100 words are 3, and .9 more do not make 4. Of the 20 left, the draws .5, .0 and .99
    # take numbers 10, 1 + 0 and 2 + int(.99 * 18) = 19: words 20, 2 and 38.
    stream = Given(0.49, 0.9, 0.5, 0.0, 0.99)
    assert chosen(words, available, stream) == [2, 20, 38]
    assert not stream.left
    # 3 % of the 20 are .6, which .3 leaves below 1 and .4 makes 1; a block that is drawn has one at least.
    for rounding in (0.3, 0.4):
        stream = Given(0.49, rounding, 0.5)
        assert chosen(switchable, available, stream) == [20]
        assert not stream.left
    # 30 % of the 20 are 6, of the 100 words more than there are.
    many = replace(switchable, rate=0.3)
    assert chosen(many, available, Given(0.0, 0.0, *[0.0] * 6)) == [0, 2, 4, 6, 8, 10]
    assert chosen(replace(many, share_of="words"), available, Given(*[0.0] * 22)) == list(range(0, 40, 2))
    # Not drawn; nothing to switch; nothing to be switched.
    assert chosen(words, available, Given(0.5)) == []
    assert chosen(words, [False] * 100, Given(0.0)) == []
    assert chosen(replace(words, rate=0.0), available, Given(0.0)) == []


@given(st.lists(st.booleans(), max_size=200), policies, st.integers(0, 2**40))
def test_how_many_words_are_switched(available, policy, index):
    found = chosen(policy, available, Stream(1, 1, index))
    assert found == sorted(set(found))
    assert all(available[i] for i in found)
    n = len(available) if policy.share_of == "words" else sum(available)
    drawn = Stream(1, 1, index).random() < policy.gate and policy.rate > 0 and any(available)
    assert bool(found) == drawn
    if drawn:
        assert min(policy.rate * n, sum(available)) - 1 < len(found) < max(policy.rate * n, 1) + 1


def test_words_are_switched_as_often_as_asked_for():
    """3 % of 50 words in half of 20,000 blocks; five standard deviations are 5 * .79 / sqrt(20,000) = .028 words."""
    available = [i % 3 == 0 for i in range(50)]
    found = [chosen(IndependentWords(), available, Stream(1, 1, i)) for i in range(20_000)]
    assert np.mean([len(words) for words in found]) == pytest.approx(0.03 * 50 / 2, abs=0.028)
    assert np.mean([bool(words) for words in found]) == pytest.approx(0.5, abs=0.02)
    # Each of the 17 that can be alike: 882 times each, standard deviation 29.
    places = np.bincount([i for words in found for i in words], minlength=50)
    assert places[::3] == pytest.approx(np.full(17, 15_000 / 17), abs=145)
    assert places.sum() == places[::3].sum()


@given(blocks(), shares, st.integers(0, 2**40))
def test_whole_words_are_predicted_whole_or_not_at_all(ids, rate, index):
    masking = Masking(rate, whole_words=True)
    units, words = masking.units(ids, word_spans(ids), SYMBOLS), word_spans(ids)
    predicted = set(masking.choose(units, Stream(1, 1, index)))
    assert len(predicted) <= rate * sum(map(len, units)) + 1
    assert all(len(predicted.intersection(range(*word))) in (0, word[1] - word[0]) for word in words)


@given(maskings, st.integers(4, 200), st.integers(0, 2**40))
def test_the_share_to_predict_is_rounded_at_random(masking, n, index):
    units = [range(i, i + 1) for i in range(n)]
    chosen = masking.choose(units, Stream(1, 1, index))
    assert len(set(chosen)) == len(chosen)
    assert abs(len(chosen) - masking.rate * n) < 1


def test_eight_tenths_are_masked_one_tenth_random_one_tenth_kept():
    """Devlin et al. 2019, section 3.1. Of 20,000 pieces, more than 1.5 % off is over five standard deviations."""
    masking, stream = Masking(), Stream(1, 1, 1)
    seen = [masking.stand_in(INDEX["a"], SYMBOLS, stream) for _ in range(20_000)]
    others = len(range(4, MASK))
    assert seen.count(MASK) / len(seen) == pytest.approx(0.8, abs=0.015)
    assert seen.count(INDEX["a"]) / len(seen) == pytest.approx(0.1 + 0.1 / others, abs=0.015)
    assert set(seen) == {MASK, *range(4, MASK)}


@given(st.lists(st.integers(1, 40), max_size=40), st.integers(1, 30))
def test_blocks_hold_whole_rows_and_lose_nothing(sizes, length):
    found = pack(np.array(sizes, np.int64), length)
    edges = [0, *itertools.accumulate(sizes)]
    assert [*found.starts, edges[-1]][: len(found)] == [0, *found.ends][: len(found)]  # one after the other
    assert (found.ends[-1] if sizes else 0) == edges[-1]
    for start, end, row in zip(found.starts, found.ends, found.rows, strict=True):
        assert 0 < end - start <= length
        assert edges[row] <= start < edges[row + 1]
        # A block starts inside a row only if that row is longer than a block.
        assert start in edges or sizes[row] > length


SENTENCES = {
    "en": ["The train waits at the station.", "Many children play near the old river.", "She reads a long letter."],
    "de": ["Der Zug wartet am Bahnhof.", "Viele Kinder spielen am alten Fluss.", "Sie liest einen langen Brief."],
}
LEXICON = "train\tZug\t0.5\ntrain\tBahn\t0.1\nchildren\tKinder\t0.9\nriver\tFluss\t0.4\nthe\tder\t0.9\nold\talt\t0.9\n"


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    """The folder of a mixture of two small languages and a lexicon."""
    folder = tmp_path_factory.mktemp("data")
    for language, lines in SENTENCES.items():
        text = [f"{line[:-1]} {number}." for number in range(40) for line in lines]
        (folder / f"{language}.txt").write_text("\n".join(text) + "\n")
    sources = [Source(language, 2500, [folder / f"{language}.txt"]) for language in SENTENCES]
    mixture(sources, folder / "mixture", held_out=400, pieces=150)
    (folder / "en-de.tsv").write_text(LEXICON)
    (folder / "de-en.tsv").write_text("Zug\ttrain\t1\nKinder\tchildren\t1\n")
    return folder


def task_of(data: Path, **settings: object):
    """Set the task up as fairseq-train does; every word that can be switched is, unless told otherwise."""
    from fairseq.tasks import setup_task
    from omegaconf import OmegaConf

    from fairseq_plugins.masked_lm import CsrMaskedLmConfig

    values = {"_name": "csr_masked_lm", "data": str(data / "mixture/bin"), "languages": "en,de", "seed": 3}
    values |= {"train_subset": "train", "rate": 1.0, "gate": 1.0, "tokens_per_sample": 40}
    task = setup_task(OmegaConf.merge(OmegaConf.structured(CsrMaskedLmConfig), values | settings))
    task.load_dataset("train")
    task.load_dataset("valid")
    return task


def batches(task, split="train", **options) -> list:
    """The batches of an epoch, as plain values."""
    found = task.get_batch_iterator(
        task.datasets[split], max_sentences=4, max_positions=40, seed=1, disable_iterator_cache=True, **options
    )
    return [
        [batch["id"].tolist(), batch["net_input"]["src_tokens"].tolist(), batch["target"].tolist()]
        for batch in epochs(found)
    ]


def words_of(task, split="train") -> dict[str, set[str]]:
    """The words the model sees in the blocks of each language."""
    words: dict[str, set[str]] = {language: set() for language in task.languages}
    dataset = task.datasets[split]
    for i in range(len(dataset)):
        item = dataset[i]
        pieces = [task.dictionary[piece] for piece in item["source"].tolist()]
        words[task.languages[item["language"]]].update("".join(pieces).replace("▁", " ").replace("</s>", " ").split())
    return words


def test_the_stop_words_of_a_language_without_a_list_take_part(data, caplog):
    task = task_of(data)
    assert task.noise_of(0).stop_words == ("en", "de")
    task.languages = ["en", "xh"]
    assert task.noise_of(0).stop_words == ("en", "none")
    assert task.noise_of(1).stop_words == ("none", "en")
    assert "stopwords-iso has no list of xh" in caplog.text


def test_the_first_language_is_switched_and_the_second_on_request(data):
    one = words_of(task_of(data, mask_prob=0.0, lexicon=str(data / "en-de.tsv")))
    assert {"Zug", "Bahn", "Kinder", "Fluss"} <= one["en"]
    assert not {"train", "children", "river"} & one["en"]
    assert {"the", "old"} <= one["en"]  # a stop word, and one of three letters
    assert {"Zug", "Kinder"} <= one["de"]
    both = words_of(
        task_of(data, mask_prob=0.0, lexicon=str(data / "en-de.tsv"), reverse_lexicon=str(data / "de-en.tsv"))
    )
    assert "children" in both["de"]
    assert "Kinder" not in both["de"]
    assert "Zug" in both["de"]  # of three letters
    assert both["en"] == one["en"]


def test_a_block_has_the_same_draws_in_every_process_and_new_ones_each_epoch(data):
    task = task_of(data, lexicon=str(data / "en-de.tsv"))
    here = batches(task)
    assert batches(task, num_workers=2) == here
    dataset = task.datasets["train"]
    one = dataset[0]["source"].tolist()
    dataset.set_epoch(2)
    assert dataset[0]["source"].tolist() != one
    assert all(len(item["source"]) <= 40 for item in map(dataset.__getitem__, range(len(dataset))))


def test_validation_masks_the_same_pieces_in_every_run_and_switches_nothing(data):
    task = task_of(data, lexicon=str(data / "en-de.tsv"))
    other = task_of(data, seed=4)
    task.datasets["valid"].set_epoch(5)
    assert batches(task, "valid") == batches(other, "valid")
    assert all(task.datasets["valid"][i]["stats"][3] == 0 for i in range(len(task.datasets["valid"])))


def model_of(task, **settings: object):
    from fairseq.models import ARCH_CONFIG_REGISTRY, ARCH_MODEL_REGISTRY

    sizes = {"encoder_embed_dim": 64, "encoder_ffn_embed_dim": 128, "encoder_attention_heads": 2, "dropout": 0.0}
    arguments = argparse.Namespace(**sizes, attention_dropout=0.0, **settings)
    ARCH_CONFIG_REGISTRY["csr_bert_tiny"](arguments)
    return ARCH_MODEL_REGISTRY["csr_bert_tiny"].build_model(arguments, task)


@pytest.mark.slow
def test_a_small_model_learns_a_few_sentences_by_heart(data):
    """Each sentence comes forty times: the model must reach nine tenths in new masks, far from any majority."""
    import torch

    from fairseq_plugins.masked_lm import CsrMaskedLmCriterion

    torch.manual_seed(1)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    task = task_of(data, lexicon=str(data / "en-de.tsv"), rate=0.03, gate=0.5)
    model, criterion = model_of(task), CsrMaskedLmCriterion(task)
    optimizer = torch.optim.Adam(model.parameters(), 3e-3)
    dataset, found = task.datasets["train"], []
    for epoch in range(1, 21):
        dataset.set_epoch(epoch)
        correct = total = 0
        for start in range(0, len(dataset), 16):
            batch = dataset.collater([dataset[i] for i in range(start, min(start + 16, len(dataset)))])
            loss, size, log = criterion(model, batch)
            (loss / size).backward()
            optimizer.step()
            optimizer.zero_grad()
            correct, total = correct + int(log["n_correct"]), total + size
        found.append(correct / total)
    torch.set_num_threads(threads)
    assert found[0] < 0.3
    assert found[-1] > 0.8


def test_a_checkpoint_of_another_vocabulary_is_refused(data):
    task = task_of(data)
    model = model_of(task)
    weights = model.state_dict()
    model.load_state_dict(weights)
    with pytest.raises(DataError, match="expected the data's vocabulary, found another one of"):
        model.load_state_dict(weights | {"vocabulary": weights["vocabulary"] + 1})
    smaller = weights["encoder.sentence_encoder.embed_tokens.weight"][:-3]
    with pytest.raises(DataError, match=rf"expected the data's {len(smaller) + 3} pieces, found {len(smaller)}"):
        model.load_state_dict(weights | {"encoder.sentence_encoder.embed_tokens.weight": smaller})


def test_bad_settings_and_data_are_named(data, tmp_path):
    with pytest.raises(ConfigError, match="expected two with a lexicon, found 'en'"):
        task_of(data, languages="en", lexicon=str(data / "en-de.tsv"))
    with pytest.raises(DataError, match=r"fr/train.idx: no such file"):
        task_of(data, languages="en,fr")
    with pytest.raises(ConfigError, match="rate must be a share"):
        task_of(data, mask_prob=1.5)
    with pytest.raises(ConfigError, match="--share-of: expected words or switchable, found 'all'"):
        task_of(data, share_of="all")
    with pytest.raises(DataError, match="nothing is left to draw of its 5 words"):
        task_of(data, lexicon=str(data / "en-de.tsv"), min_length=20)
    with pytest.raises(DataError, match=r"dict.txt: expected the dictionary"):
        task_of(tmp_path)
    task = task_of(data)
    with pytest.raises(ConfigError, match="at most the model's 30 positions, found 40"):
        task.build_model(argparse.Namespace(arch="csr_bert_tiny", max_positions=30))
    broken = tmp_path / "mixture/bin"
    (broken / "en").mkdir(parents=True)
    (broken / "dict.txt").write_text((data / "mixture/bin/dict.txt").read_text())
    (broken / "en/train.idx").write_bytes((data / "mixture/bin/en/train.idx").read_bytes())
    (broken / "en/train.bin").write_bytes((data / "mixture/bin/en/train.bin").read_bytes()[:-2])
    with pytest.raises(DataError, match=r"train.bin: expected the .* bytes of its .idx, found"):
        task_of(tmp_path, languages="en")


@pytest.mark.slow
def test_on_real_text_the_shares_and_the_candidates_are_as_asked_for(tmp_path, monkeypatch):
    files = {"en": DATA / "mono/en.txt.gz", "de": DATA / "mono/de.txt.gz"}
    lexicon = DATA / "muse/en-de.0-5000.txt"
    if not lexicon.is_file():
        pytest.skip("no data")
    for language, path in files.items():
        with gzip.open(path, "rt") as stream:
            (tmp_path / language).write_text("".join(itertools.islice(stream, 1500)))
    sources = [Source(language, None, [tmp_path / language]) for language in files]
    mixture(sources, tmp_path / "mixture", held_out=5000, pieces=3000, vocabulary_bytes=80_000)
    monkeypatch.syspath_prepend(Path(__file__).parents[1] / "scripts")
    import bench_pretraining as bench

    task = task_of(tmp_path, rate=0.03, gate=0.5, tokens_per_sample=128)
    found = bench.measure(task, str(lexicon), 80_000)
    # Half of the blocks that have a word to switch: five standard deviations of n coin tosses are 2.5 / sqrt(n).
    n = found["blocks with such words"]
    assert found["touched"] / n == pytest.approx(0.5, abs=2.5 / n**0.5)
    # 3 % of the words in them, on average over the rounding; a few blocks have less than 33 words and yet one switched.
    assert found["words switched / words of switched blocks"] == pytest.approx(0.03, abs=0.002)
    assert found["pieces to predict / pieces of text"] == pytest.approx(0.15, abs=0.001)
    assert 0 < found["pieces lost / pieces"] < 0.005
    found = bench.measure_candidates(task, str(lexicon), 80_000)
    assert found["words compared"] > 10
    assert found["p"] > 1e-4
