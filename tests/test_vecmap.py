"""VecMap: each step against a worked example or plain numpy, then the whole on embeddings whose map is known."""

import json

import numpy as np
import pytest
import scipy.linalg
import scipy.special
from hypothesis import given, settings
from hypothesis import strategies as st

from csr import cli
from csr.errors import ConfigError, DataError
from csr.induction import vecmap
from csr.induction.embeddings import Embeddings, write_embeddings
from csr.induction.retrieval import CompiledSimilarity, TorchSimilarity, neighbors, unit
from csr.lexicon import read_lexicon


def random(seed, *shape):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def languages(n=300, dim=20, noise=0.02, seed=0):
    """Two languages of the same geometry: the target side is rotated, blurred and in another order."""
    rng = np.random.default_rng(seed)
    # Clusters and unequal axes: without shape there is nothing for the unsupervised start to compare.
    centers = rng.normal(size=(25, dim)) * np.linspace(2, 0.5, dim)
    src = centers[rng.integers(25, size=n)] + 0.5 * rng.normal(size=(n, dim))
    rotation = np.linalg.qr(rng.normal(size=(dim, dim)))[0]
    tgt = src @ rotation + noise * rng.normal(size=(n, dim))
    order = rng.permutation(n)
    return (
        Embeddings([f"s{i}" for i in range(n)], src.astype(np.float32)),
        Embeddings([f"t{i}" for i in order], tgt[order].astype(np.float32)),
    )


def share_right(lexicon):
    return np.mean([next(iter(candidates)) == "t" + word[1:] for word, candidates in lexicon.entries.items()])


def test_csls_worked_by_hand():
    x = np.array([[0.8, 0.6], [0, 1], [0.28, 0.96]])
    z = np.array([[0, 1], [0.8, -0.6], [0.6, -0.8]])
    # Cosines:          z1     z2      z3      r_T, mean of the best two
    #            x1     0.6    0.28    0       0.44
    #            x2     1     -0.6    -0.8     0.2
    #            x3     0.96  -0.352  -0.6     0.304
    # r_S               0.98  -0.036  -0.3
    # 2 cos - r_T - r_S: by cosine z1 is nearest to all three; it is a hub, and CSLS gives x1 the next one.
    expected = np.array([[-0.22, 0.156, -0.14], [0.82, -1.364, -1.5], [0.636, -0.972, -1.204]])
    (indices, csls), (back, _) = neighbors(x, z, k=3, csls=2)
    np.testing.assert_allclose(csls, np.take_along_axis(expected, indices.astype(int), axis=1), atol=1e-6)
    assert indices[:, 0].tolist() == [1, 0, 0]
    assert back[:, 0].tolist() == [1, 0, 0]
    assert neighbors(x, z, k=1, csls=0)[0][0].ravel().tolist() == [0, 0, 0]


@settings(max_examples=15, deadline=None)
@given(st.integers(1, 1100), st.integers(1, 1100), st.integers(1, 12), st.booleans(), st.integers(0, 9))
def test_neighbors_are_those_of_a_full_sort(n_src, n_tgt, k, held, seed):
    x, z = unit(random(seed, n_src, 5)), unit(random(seed + 1, n_tgt, 5))
    minus_x, minus_z = random(seed + 2, n_src), random(seed + 3, n_tgt)
    engine = CompiledSimilarity(n_src, n_tgt, held_bytes=4 * n_src * n_tgt if held else 0)
    engine.update(x, z)
    top = engine.top(k, minus_x, minus_z)
    for full, values, indices in (
        (x @ z.T - minus_z, top.src_values, top.src_indices),
        ((x @ z.T).T - minus_x, top.tgt_values, top.tgt_indices),
    ):
        np.testing.assert_allclose(values, -np.sort(-full, axis=1)[:, :k], atol=1e-5)
        np.testing.assert_allclose(np.take_along_axis(full, indices.astype(int), axis=1), values, atol=1e-5)
    forward, backward = engine.sample_best(minus_x, minus_z, keep=1.0, seed=seed)
    np.testing.assert_array_equal(forward, top.src_indices[:, 0])
    np.testing.assert_array_equal(backward, top.tgt_indices[:, 0])


def test_of_equals_the_first_is_nearest_whichever_thread_came_first():
    x, z = np.ones((2100, 1), np.float32), np.ones((3, 1), np.float32)  # three blocks of rows, on two threads or more
    engine = CompiledSimilarity(2100, 3)
    engine.update(x, z)
    top = engine.top(4, np.zeros(2100, np.float32), np.zeros(3, np.float32))
    assert top.tgt_indices.tolist() == [[0, 1, 2, 3]] * 3
    assert (top.src_indices == [0, 1, 2]).all()


@pytest.mark.parametrize("keep", [0.1, 0.5])
def test_dropout_keeps_the_share_asked_for_and_each_direction_draws_for_itself(keep):
    x, z = unit(random(1, 900, 30)), unit(random(2, 1100, 30))
    similarities = x @ z.T
    for engine in (CompiledSimilarity(900, 1100), TorchSimilarity(900, 1100, "cpu")):
        engine.update(x, z)
        none = np.zeros(900, np.float32), np.zeros(1100, np.float32)
        forward, backward = engine.sample_best(*none, keep=keep, seed=1)
        # The best one kept has rank r with probability (1 - keep)^(r - 1) keep: a geometric distribution.
        rank = (similarities >= similarities[np.arange(900), forward][:, None]).sum(axis=1)
        back_rank = (similarities >= similarities[backward, np.arange(1100)]).sum(axis=0)
        for ranks in (rank, back_rank):
            assert abs(ranks.mean() - 1 / keep) < 4 * np.sqrt((1 - keep) / len(ranks)) / keep
        # Where i and j are each other's best, the two directions agree by chance only: keep^2 + (1 - keep)^2.
        best, best_back = similarities.argmax(axis=1), similarities.argmax(axis=0)
        mutual = [i for i in range(900) if best_back[best[i]] == i]
        agree = np.mean([(forward[i] == best[i]) == (backward[best[i]] == i) for i in mutual])
        assert abs(agree - keep**2 - (1 - keep) ** 2) < 4 * np.sqrt(0.25 / len(mutual))
        for first, again in zip((forward, backward), engine.sample_best(*none, keep=keep, seed=1), strict=True):
            np.testing.assert_array_equal(first, again)


def test_torch_and_compiled_loops_agree():
    x, z = unit(random(3, 700, 8)), unit(random(4, 600, 8))
    minus = np.abs(random(5, 700)), np.abs(random(6, 600))
    compiled, torch = CompiledSimilarity(700, 600), TorchSimilarity(700, 600, "cpu", block_bytes=4 * 600 * 100)
    for engine in (compiled, torch):
        engine.update(x, z)
    for ours, theirs in zip(compiled.top(10, *minus), torch.top(10, *minus), strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-6)
    for ours, theirs in zip(compiled.sample_best(*minus, 1.0, 1), torch.sample_best(*minus, 1.0, 1), strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_normalization_is_length_center_length():
    v = random(1, 40, 6)
    steps = v / np.linalg.norm(v, axis=1, keepdims=True)
    steps = steps - steps.mean(axis=0)
    steps = steps / np.linalg.norm(steps, axis=1, keepdims=True)
    np.testing.assert_allclose(vecmap.normalized(v), steps, atol=1e-6)


def test_procrustes_finds_the_rotation():
    x = random(1, 50, 6)
    rotation = np.linalg.qr(random(2, 6, 6))[0]
    np.testing.assert_allclose(vecmap.procrustes(x, x @ rotation), rotation, atol=1e-5)
    # Against scipy, where there is no exact solution.
    z = random(3, 50, 6)
    np.testing.assert_allclose(vecmap.procrustes(x, z), scipy.linalg.orthogonal_procrustes(x, z)[0], atol=1e-5)


def test_reweighting_against_its_definition():
    x, z = random(1, 80, 5).astype(float), random(2, 90, 5).astype(float)
    pairs = np.arange(70), np.arange(70)[::-1]
    a, b = x[pairs[0]], z[pairs[1]]
    whiten_a, whiten_b = (np.linalg.inv(scipy.linalg.sqrtm(m.T @ m)) for m in (a, b))
    np.testing.assert_allclose((a @ whiten_a).T @ (a @ whiten_a), np.eye(5), atol=1e-8)
    u, s, vt = np.linalg.svd((a @ whiten_a).T @ (b @ whiten_b))
    mapped_x = x @ whiten_a @ u @ np.diag(s**0.5) @ (u.T @ np.linalg.inv(whiten_a) @ u)
    mapped_z = z @ whiten_b @ vt.T @ np.diag(s**0.5) @ (vt @ np.linalg.inv(whiten_b) @ vt.T)
    ours_x, ours_z = vecmap.reweighted(x.astype(np.float32), z.astype(np.float32), pairs)
    # The signs of the singular vectors are free, together on both sides: similarities are not.
    np.testing.assert_allclose(ours_x @ ours_z.T, mapped_x @ mapped_z.T, atol=1e-4)
    np.testing.assert_allclose(np.linalg.norm(ours_x, axis=1), np.linalg.norm(mapped_x, axis=1), rtol=1e-4)


def test_unsupervised_fingerprints_against_the_singular_value_decomposition():
    src, tgt = languages(n=60, dim=8, noise=0)
    x, z = vecmap.normalized(src.vectors), vecmap.normalized(tgt.vectors)
    u, s, _ = np.linalg.svd(x, full_matrices=False)
    np.testing.assert_allclose(x @ vecmap._power(x, -0.5) @ x.T, (u * s) @ u.T, atol=1e-4)
    forward, backward = vecmap.unsupervised_pairs(x, z)
    assert all(src.words[i][1:] == tgt.words[j][1:] for i, j in zip(forward, backward, strict=True))


@pytest.mark.parametrize("start", ["unsupervised", [(f"s{i}", f"t{i}") for i in range(40)]])
def test_a_known_rotation_is_recovered(start):
    src, tgt = languages(n=400)
    induced = vecmap.induce(src, tgt, start=start, n_neighbors=3)
    assert share_right(induced.forward) > 0.98
    assert induced.warning is None
    assert list(induced.forward.entries) == src.words


def test_learning_ends_where_a_step_changes_nothing():
    src, tgt = languages(n=300)
    x, z = vecmap.normalized(src.vectors), vecmap.normalized(tgt.vectors)
    start = vecmap.word_pairs(src.words, tgt.words, [(f"s{i}", f"t{i}") for i in range(60)])
    pairs, steps, objective = vecmap.self_learn(x, z, start, np.random.default_rng(1), keep=1.0, patience=50)
    assert steps < 50
    again, value = vecmap.learn_step(x, z, pairs, CompiledSimilarity(300, 300), keep=1.0, seed=1)
    np.testing.assert_array_equal(again, pairs)
    assert value == pytest.approx(objective, abs=1e-5)


@pytest.mark.slow
def test_the_same_seed_gives_the_same_map():
    # Unrelated sides: there are many maps to end in.
    src, tgt = (Embeddings([f"w{i}" for i in range(120)], random(seed, 120, 10)) for seed in (1, 2))
    one, two, other = (vecmap.map_embeddings(src, tgt, seed=seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(one.src.vectors, two.src.vectors)
    assert (one.steps, one.objective) == (two.steps, two.objective)
    assert not np.array_equal(other.src.vectors, one.src.vectors)


def test_weights_are_positive_best_first_and_temper_to_a_softmax_of_csls():
    src, tgt = languages(n=100, dim=10)
    mapped = vecmap.map_embeddings(src, tgt, [(f"s{i}", f"t{i}") for i in range(60)])
    lexicon = vecmap.induce(mapped.src, mapped.tgt, start="mapped", n_neighbors=4).forward
    (_, csls), _ = neighbors(mapped.src.vectors, mapped.tgt.vectors, 4)
    for candidates in lexicon.entries.values():
        weights = list(candidates.values())
        assert weights == sorted(weights, reverse=True)
        assert weights[-1] > 0
    softmax = scipy.special.softmax(csls[-1] / 0.1)
    np.testing.assert_allclose(list(lexicon.tempered(0.1).probs(src.words[-1]).values()), softmax, rtol=1e-4)


def test_auto_keeps_the_start_that_parallel_text_favors():
    src, tgt = languages(n=200, dim=10)
    # Words written alike that are no translations of each other, and no sentence holds both: that start must lose.
    src_words = [*src.words[:100], *(f"x{i}" for i in range(100))]
    tgt_words = [f"x{(int(w[1:]) + 1) % 100}" if int(w[1:]) >= 100 else w for w in tgt.words]
    bitext = [([f"s{i}"], [f"t{i}"]) for i in range(100)]
    induced = vecmap.induce(Embeddings(src_words, src.vectors), Embeddings(tgt_words, tgt.vectors), bitext)
    assert set(induced.tried) == {"unsupervised", "identical"}
    precision = {start: scores["cooccurrence_precision"] for start, scores in induced.tried.items()}
    assert precision[induced.start] == max(precision.values()) <= induced.scores["cooccurrence_precision"]
    assert induced.warning is None


@pytest.mark.slow
def test_a_degenerate_map_is_told_in_plain_words():
    words = [f"w{i}" for i in range(300)]
    src, tgt = (Embeddings(words, random(seed, 300, 10)) for seed in (1, 2))
    # Unrelated languages: whatever the start, no better than chance against parallel text ...
    induced = vecmap.induce(src, tgt, bitext=[([f"w{i}"], [f"w{(i + 7) % 300}"]) for i in range(300)])
    assert "looks degenerate" in induced.warning
    assert "use csr lexicon ibm1" in induced.warning
    # ... and without any, the starts lead to different lexicons.
    induced = vecmap.induce(src, tgt)
    assert "may be degenerate" in induced.warning
    assert "--start seed" in induced.warning


@pytest.mark.parametrize(
    ("precision", "chance", "warned"),
    # Measured, with precision@1 against a gold dictionary: Multi30k en-de 28 %, Tatoeba fi-en from identical words 5 %.
    [(0.486, 0.127, False), (0.132, 0.017, True)],
)
def test_far_above_chance_is_not_enough_where_chance_is_small(precision, chance, warned):
    warning = vecmap._warning({"cooccurrence_precision": precision, "cooccurrence_by_chance": chance})
    assert bool(warning) == warned


@pytest.mark.parametrize(
    ("src", "tgt", "start", "message"),
    [
        (random(1, 3, 4), random(1, 3, 5), "identical", "expected the same dimension on both sides, found 4 and 5"),
        (np.full((3, 4), np.nan), random(1, 3, 4), "identical", "source embeddings: expected finite vectors"),
        (random(1, 3, 4), np.empty((0, 4)), "identical", "target embeddings: expected at least one word, found none"),
        (random(1, 3, 4), random(1, 3, 4), "numerals", "numerals: expected a number that occurs on both sides"),
        (random(1, 3, 4), random(1, 3, 4), [("a", "z")], "seed dictionary: expected a pair .* found none among 1"),
    ],
)
def test_bad_embeddings(src, tgt, start, message):
    sides = [Embeddings([f"w{i}" for i in range(len(v))], v.astype(np.float32)) for v in (src, tgt)]
    with pytest.raises(DataError, match=message):
        vecmap.map_embeddings(*sides, start)


def test_bad_settings():
    side = Embeddings(["a", "b"], random(1, 2, 3))
    with pytest.raises(ConfigError, match="start: expected unsupervised"):
        vecmap.map_embeddings(side, side, "identica")
    with pytest.raises(ConfigError, match="each side needs a text or embeddings"):
        vecmap.induce_lexicon(None, None)
    with pytest.raises(ConfigError, match="device cuda:7"):
        neighbors(side.vectors, side.vectors, 1, device="cuda:7")


def test_command_on_mapped_embeddings(tmp_path, capsys):
    src, tgt = languages(n=50, dim=6, noise=0)
    mapped = vecmap.map_embeddings(src, tgt, [(f"s{i}", f"t{i}") for i in range(50)])
    write_embeddings(mapped.src, tmp_path / "src.vec")
    write_embeddings(mapped.tgt, tmp_path / "tgt.vec.gz")
    options = ["--src-embeddings", f"{tmp_path}/src.vec", "--tgt-embeddings", f"{tmp_path}/tgt.vec.gz", "--mapped"]
    outputs = ["--out", f"{tmp_path}/st.tsv", "--reverse-out", f"{tmp_path}/ts.tsv", "--neighbors", "2"]
    assert cli.main(["lexicon", "vecmap", *options, *outputs]) == 0
    lexicon = read_lexicon(tmp_path / "st.tsv")
    assert share_right(lexicon) == 1
    assert {len(candidates) for candidates in lexicon.entries.values()} == {2}
    assert list(read_lexicon(tmp_path / "ts.tsv").entries) == tgt.words
    record = json.loads((tmp_path / "st.tsv.json").read_text())
    assert record["quality"]["start"] == "mapped"
    assert record["quality"]["round_trip"] == 1


def test_command_on_text(tmp_path, capsys):
    de = ["die katze schläft im haus", "der hund schläft im garten", "die katze und der hund", "7 hunde"]
    en = ["the cat sleeps in the house", "the dog sleeps in the garden", "the cat and the dog", "7 dogs"]
    (tmp_path / "de").write_text("\n".join(de * 10) + "\n")
    (tmp_path / "en").write_text("\n".join(en * 10) + "\n")
    command = ["lexicon", "vecmap", "--src", f"{tmp_path}/de", "--tgt", f"{tmp_path}/en", "--out", f"{tmp_path}/o.tsv"]
    assert cli.main([*command, "--dim", "8", "--epochs", "1"]) == 0
    record = json.loads((tmp_path / "o.tsv.json").read_text())
    starts = record["quality"]["starts"]
    assert set(starts) == {"unsupervised", "identical", "numerals"}
    best = max(scores["cooccurrence_precision"] for scores in starts.values())
    assert starts[record["quality"]["start"]]["cooccurrence_precision"] == best
    assert set(record["inputs"]) == {f"{tmp_path}/de", f"{tmp_path}/en"}
    (tmp_path / "en").write_text("the cat\n")
    assert cli.main(command) == 2
    assert "found the end" in capsys.readouterr().err
