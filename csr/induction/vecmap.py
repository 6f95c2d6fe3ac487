"""VecMap: lexicons from two texts, by word embeddings mapped into one space (Artetxe et al., ACL 2018)."""

from __future__ import annotations

import itertools
from collections.abc import Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import scipy.linalg
from tqdm import tqdm

from csr.errors import ConfigError, DataError
from csr.files import PathLike
from csr.induction import embeddings
from csr.induction.embeddings import Embeddings
from csr.induction.quality import cooccurrence_precision, read_bitext
from csr.induction.retrieval import Similarity, mean_similarities, neighbors, similarity, unit
from csr.lexicon import Lexicon
from csr.process import one_blas_thread
from csr.text.forms import folded

Pairs = tuple[np.ndarray, np.ndarray]  # row numbers of source and target words, equally many
Start = str | Sequence[tuple[str, str]]  # one of STARTS, or a seed dictionary

STARTS = ("unsupervised", "identical", "numerals")
CSLS = 10  # neighbors in CSLS, in the paper and here
# In trying starts: words per side, and steps without improvement before the next keep probability.
TRIED_WORDS, TRIED_PATIENCE = 2000, 10
# A lexicon counts as degenerate if its co-occurrence precision is not this far above what chance gives; or, without
# parallel text, if no two starts agree on this share of the words.
LEAST_GAIN, LEAST_AGREEMENT = 0.2, 0.3
SCORED_PAIRS = 100_000  # of the parallel text, at most


@dataclass(frozen=True)
class Induced:
    """Lexicons in both directions and how good they look without a gold dictionary.

    ``start`` is where they come from, ``scores`` are theirs and ``tried`` those of every start tried to find it.
    ``warning`` says in plain words why not to trust them, if there is a reason.
    """

    forward: Lexicon
    reverse: Lexicon
    start: str
    scores: Mapping[str, float]
    tried: Mapping[str, Mapping[str, float]]
    warning: str | None


def induce_lexicon(
    src_text: PathLike | None,
    tgt_text: PathLike | None,
    src_embeddings: PathLike | None = None,
    tgt_embeddings: PathLike | None = None,
    parallel: bool = True,
    start: Start = "auto",
    n_neighbors: int = 10,
    seed: int = 1,
    device: str = "cpu",
    source_lang: str | None = None,
    target_lang: str | None = None,
    **word2vec: Any,
) -> Induced:
    """Train word2vec on two texts, or read embeddings, and induce lexicons from them.

    Args:
        parallel: the texts are aligned line by line, and so tell how good a lexicon is.
        start: ``auto``, ``mapped`` or as in ``map_embeddings``; see ``induce``.
        source_lang, target_lang: codes of languages whose words a segmenter finds, such as zh.
        word2vec: options of ``embeddings.train``.

    Raises:
        ConfigError: a side has neither text nor embeddings.
        DataError: parallel texts have different lengths, or as in ``train``, ``read_embeddings``, ``map_embeddings``.
    """
    bitext = None
    if parallel and src_text and tgt_text:
        texts = read_bitext(src_text, tgt_text, source_lang, target_lang)
        bitext = [pair for i, pair in enumerate(texts) if i < SCORED_PAIRS]

    def side(text: PathLike | None, vectors: PathLike | None, language: str | None) -> Embeddings:
        if vectors:
            return embeddings.read_embeddings(vectors)
        if not text:
            raise ConfigError("each side needs a text or embeddings")
        return embeddings.train(text, seed=seed, language=language, **word2vec)

    with ThreadPoolExecutor(2) as pool:  # gensim trains outside the interpreter's lock
        src, tgt = pool.map(side, (src_text, tgt_text), (src_embeddings, tgt_embeddings), (source_lang, target_lang))
    return induce(src, tgt, bitext, start, n_neighbors, seed, device)


def induce(
    src: Embeddings,
    tgt: Embeddings,
    bitext: Collection[tuple[Sequence[str], Sequence[str]]] | None = None,
    start: Start = "auto",
    n_neighbors: int = 10,
    seed: int = 1,
    device: str = "cpu",
) -> Induced:
    """Map embeddings into one space and list the nearest neighbors of each word, most frequent words first.

    A weight is exp(CSLS), so that tempering with T makes p(candidate | word) the softmax of CSLS / T.

    Args:
        bitext: word lists of parallel sentences, to score by.
        start: ``auto`` tries every start that is possible on the most frequent words, with less patience, and lets the
            best learn on with all words; ``mapped`` means that the embeddings are in one space already; others as in
            ``map_embeddings``.
    """

    def attempt(choice: Start, **schedule: Any) -> Induced:
        name = choice if isinstance(choice, str) else "seed"
        x, z, scores = src, tgt, {}
        if choice == "mapped":
            _check(src, tgt)
        else:
            mapped = map_embeddings(src, tgt, choice, seed, device=device, **schedule)
            x, z, scores = mapped.src, mapped.tgt, {"steps": mapped.steps, "mean_similarity": mapped.objective}
        forward, backward = neighbors(x.vectors, z.vectors, n_neighbors, CSLS, device)
        lexicons = _lexicon(x.words, z.words, *forward), _lexicon(z.words, x.words, *backward)
        mutual = backward[0][forward[0][:, 0], 0] == np.arange(len(x))
        scores["round_trip"] = float(mutual.mean())
        scores["mutual_csls"] = float(forward[1][mutual, 0].mean()) if mutual.any() else 0.0
        if bitext:
            sources, targets = zip(*bitext, strict=True)
            scores["cooccurrence_precision"] = cooccurrence_precision(lexicons[0], bitext)
            # The same with each sentence opposite the translation of the next: what frequent words hit by chance.
            shifted = zip(sources, targets[1:] + targets[:1], strict=True)
            scores["cooccurrence_by_chance"] = cooccurrence_precision(lexicons[0], shifted)
        return Induced(*lexicons, name, scores, {}, _warning(scores))

    if start != "auto":
        return attempt(start)
    names = _possible(src, tgt)
    with one_blas_thread(), ThreadPoolExecutor(len(names)) as pool:
        schedule = {"vocabulary": TRIED_WORDS, "patience": TRIED_PATIENCE}
        attempts = list(pool.map(lambda name: attempt(name, **schedule), names))
    tried = {each.start: each.scores for each in attempts}
    best = max(attempts, key=_preference)
    dictionary = _best_pairs(best.forward) + [(a, b) for b, a in _best_pairs(best.reverse)]
    final = max(attempt(dictionary, keep=1.0), best, key=_preference)
    warning = final.warning or (None if bitext else _disagreement(best, attempts))
    return replace(final, start=best.start, tried=tried, warning=warning)


def _possible(src: Embeddings, tgt: Embeddings) -> list[str]:
    shared = set(src.words).intersection(tgt.words)
    possible = {"unsupervised": True, "identical": bool(shared), "numerals": any(map(_is_numeral, shared))}
    return [start for start in STARTS if possible[start]]


def _preference(induced: Induced) -> float:
    """The measure that attempts are compared by: co-occurrence precision, or else how well the two directions agree."""
    scores = induced.scores
    return scores.get("cooccurrence_precision", scores["round_trip"] * scores["mutual_csls"])


def _best_pairs(lexicon: Lexicon) -> list[tuple[str, str]]:
    return [(word, next(iter(candidates))) for word, candidates in lexicon.entries.items()]


def _warning(scores: Mapping[str, float]) -> str | None:
    precision, chance = scores.get("cooccurrence_precision"), scores.get("cooccurrence_by_chance", 0.0)
    if precision is None or precision - chance > LEAST_GAIN:
        return None
    return (
        f"this lexicon looks degenerate: of the first translations, {precision:.0%} occur in the aligned sentence, and "
        f"{chance:.0%} in an unrelated one. The text may be too small, or the languages too different, for VecMap. "
        "The text is parallel: use csr lexicon ibm1"
    )


def _disagreement(best: Induced, attempts: Sequence[Induced]) -> str | None:
    """Tell when no two starts lead to similar lexicons: without parallel text, the only sign of a wrong one."""
    pairs = set(_best_pairs(best.forward))
    shares = [len(pairs.intersection(_best_pairs(e.forward))) / len(pairs) for e in attempts if e is not best]
    if not shares or max(shares) >= LEAST_AGREEMENT:
        return None
    return (
        f"this lexicon may be degenerate: lexicons from different starts share {max(shares):.0%} of their first "
        "translations at most. The texts may be too small, or the languages too different, for VecMap. Use "
        "--start seed with a dictionary, or csr lexicon ibm1 if there is parallel text"
    )


def _lexicon(words: Sequence[str], candidates: Sequence[str], indices: np.ndarray, csls: np.ndarray) -> Lexicon:
    rows = zip(words, indices.tolist(), np.exp(csls).tolist(), strict=True)
    return Lexicon({word: {candidates[i]: weight for i, weight in zip(row, ws, strict=True)} for word, row, ws in rows})


@dataclass(frozen=True)
class Mapped:
    """Embeddings in one space, and how self-learning ended: steps and mean similarity of the nearest neighbors."""

    src: Embeddings
    tgt: Embeddings
    steps: int
    objective: float


def map_embeddings(
    src: Embeddings,
    tgt: Embeddings,
    start: Start = "unsupervised",
    seed: int = 1,
    vocabulary: int = 20_000,
    keep: float = 0.1,
    patience: int = 50,
    device: str = "cpu",
) -> Mapped:
    """Map two sets of embeddings into one space.

    Args:
        start: where the first dictionary comes from; or the dictionary itself, pairs of words.
        vocabulary: how many of the most frequent words per side take part in self-learning.
        keep, patience: the schedule of ``self_learn``.
        device: ``cpu``, or a device of torch for the similarities, such as ``cuda``.

    Raises:
        DataError: the dimensions differ, a side is empty or not finite, or no word pair can start.
    """
    _check(src, tgt)
    x, z = normalized(src.vectors), normalized(tgt.vectors)
    if start == "unsupervised":
        pairs = unsupervised_pairs(x, z, device=device)
    else:
        pairs = word_pairs(src.words, tgt.words, start)
    name = start if isinstance(start, str) else "seed"
    pairs, steps, objective = self_learn(
        x, z, pairs, np.random.default_rng(seed), vocabulary, keep, patience, device, name
    )
    x, z = reweighted(x, z, pairs)
    return Mapped(Embeddings(src.words, x), Embeddings(tgt.words, z), steps, objective)


def _check(src: Embeddings, tgt: Embeddings) -> None:
    for name, side in (("source", src), ("target", tgt)):
        if not len(side):
            raise DataError(f"{name} embeddings: expected at least one word, found none")
        finite = np.isfinite(side.vectors).all(axis=1)
        if not finite.all():
            word = side.words[int(finite.argmin())]
            raise DataError(f"{name} embeddings: expected finite vectors, found another for {word!r}")
    if src.dim != tgt.dim:
        raise DataError(f"embeddings: expected the same dimension on both sides, found {src.dim} and {tgt.dim}")


def normalized(vectors: np.ndarray) -> np.ndarray:
    """The rows scaled to length 1, centered by column, and scaled to length 1 again (section 3.1)."""
    vectors = unit(vectors)
    return unit(vectors - vectors.mean(axis=0))


def unsupervised_pairs(x: np.ndarray, z: np.ndarray, n_words: int = 4000, device: str = "cpu") -> Pairs:
    """Pair the words whose similarities to all other words of their language, sorted, look alike (section 3.2)."""
    n_words = min(n_words, len(x), len(z))

    def fingerprints(v: np.ndarray) -> np.ndarray:
        # The square root of V V^T: with the thin SVD V = U S W^T it is U S U^T = V (W S^-1 W^T) V^T.
        root = v @ _power(v, -0.5) @ v.T
        root.sort(axis=1)
        return normalized(root)

    (forward, _), (backward, _) = neighbors(fingerprints(x[:n_words]), fingerprints(z[:n_words]), 1, CSLS, device)
    return _joined(forward[:, 0], backward[:, 0])


def _is_numeral(word: str) -> bool:
    return word.isascii() and word.isdecimal()


def word_pairs(src: Sequence[str], tgt: Sequence[str], start: Start) -> Pairs:
    """Pair words written alike (``identical``), the numbers among them (``numerals``), or those of a dictionary."""
    src_rows = {word: row for row, word in enumerate(src)}
    tgt_rows = {word: row for row, word in enumerate(tgt)}
    if isinstance(start, str):
        if start not in STARTS:
            raise ConfigError(f"start: expected {', '.join(STARTS)} or pairs of words, found {start}")
        wanted = [(word, word) for word in src if start == "identical" or _is_numeral(word)]
        what = "a number" if start == "numerals" else "a word"
        expected = f"{what} that occurs on both sides, found none; use another start"
    else:
        # Vectors may be of words as written or, as ours, of folded ones.
        wanted = list(dict.fromkeys(pair for a, b in start for pair in ((a, b), (folded(a), folded(b)))))
        expected = f"a pair whose words are both in the embeddings, found none among {len(start):,}"
    found = [(src_rows[a], tgt_rows[b]) for a, b in wanted if a in src_rows and b in tgt_rows]
    if not found:
        raise DataError(f"{start if isinstance(start, str) else 'seed dictionary'}: expected {expected}")
    rows = np.array(found)
    return rows[:, 0], rows[:, 1]


def self_learn(
    x: np.ndarray,
    z: np.ndarray,
    pairs: Pairs,
    rng: np.random.Generator,
    vocabulary: int = 20_000,
    keep: float = 0.1,
    patience: int = 50,
    device: str = "cpu",
    name: str = "",
    threshold: float = 1e-6,
) -> tuple[Pairs, int, float]:
    """Alternate between the orthogonal map and the dictionary it induces (section 3.3); return the last dictionary.

    Each similarity is kept with probability ``keep``, which doubles whenever ``patience`` steps have not raised the
    mean similarity of the nearest neighbors by ``threshold``; when that happens at 1, or a step at 1 changes nothing,
    learning ends.
    """
    similarities = similarity(min(len(x), vocabulary), min(len(z), vocabulary), device)
    best, best_step = -np.inf, 0
    with one_blas_thread(), tqdm(desc=f"vecmap {name}".rstrip(), unit=" steps", disable=None) as bar:
        for step in itertools.count(1):
            if step - best_step > patience:
                if keep >= 1:
                    return pairs, step - 1, best
                keep, best_step = min(1.0, 2 * keep), step
            before = pairs
            pairs, objective = learn_step(x, z, pairs, similarities, keep, int(rng.integers(2**32)))
            if objective - best >= threshold:
                best, best_step = objective, step
            bar.update()
            bar.set_postfix(keep=keep, similarity=f"{objective:.4f}", refresh=False)
            if keep >= 1 and all(map(np.array_equal, before, pairs)):  # nothing random: so will all further steps be
                return pairs, step, best
    raise AssertionError("unreachable")


def learn_step(
    x: np.ndarray, z: np.ndarray, pairs: Pairs, similarities: Similarity, keep: float, seed: int
) -> tuple[Pairs, float]:
    """The dictionary that a dictionary induces through its orthogonal map, and the mean best similarity."""
    n_src, n_tgt = similarities.shape
    similarities.update(x[:n_src] @ procrustes(x[pairs[0]], z[pairs[1]]), z[:n_tgt])
    nearest = similarities.top(CSLS, np.zeros(n_src, np.float32), np.zeros(n_tgt, np.float32))
    r_src, r_tgt = mean_similarities(nearest)
    objective = (nearest.src_values[:, 0].mean(dtype=float) + nearest.tgt_values[:, 0].mean(dtype=float)) / 2
    # x_i z_j - r_j / 2 has the same best j as CSLS. What is not kept counts for nothing.
    return _joined(*similarities.sample_best(r_src / 2, r_tgt / 2, keep, seed)), float(objective)


def procrustes(x: np.ndarray, z: np.ndarray) -> np.ndarray:
    """The orthogonal W that minimizes ||x W - z||: V U^T, with the SVD z^T x = U S V^T."""
    u, _, vt = scipy.linalg.svd(z.T @ x)
    return vt.T @ u.T


def reweighted(x: np.ndarray, z: np.ndarray, pairs: Pairs) -> tuple[np.ndarray, np.ndarray]:
    """Both sides mapped with symmetric re-weighting (section 3.4).

    Whiten by W_x = (X^T X)^(-1/2) and W_z over the dictionary X, Z; with the SVD W_x X^T Z W_z = U S V^T, rotate by U
    and V, scale both by S^(1/2), and undo the whitening: x W_x U S^(1/2) U^T W_x^-1 U, z W_z V S^(1/2) V^T W_z^-1 V.
    """
    a, b = x[pairs[0]], z[pairs[1]]
    whiten_x, whiten_z = _power(a, -0.5), _power(b, -0.5)
    u, s, vt = scipy.linalg.svd(whiten_x @ (a.T @ b) @ whiten_z)
    root, v = np.sqrt(s), vt.T
    map_x = whiten_x @ (u * root) @ u.T @ _power(a, 0.5) @ u
    map_z = whiten_z @ (v * root) @ vt @ _power(b, 0.5) @ v
    return x @ map_x, z @ map_z


def _power(vectors: np.ndarray, exponent: float) -> np.ndarray:
    """(V^T V)^exponent; directions in which the vectors do not differ from 0 stay 0."""
    wide = vectors.astype(np.float64)
    values, directions = scipy.linalg.eigh(wide.T @ wide)
    kept = values > values[-1] * len(values) * np.finfo(np.float32).eps ** 2
    scale = np.zeros_like(values)
    scale[kept] = values[kept] ** exponent
    return ((directions * scale) @ directions.T).astype(np.float32)


def _joined(forward: np.ndarray, backward: np.ndarray) -> Pairs:
    """The dictionary of both directions: (i, forward[i]) and (backward[j], j)."""
    return np.concatenate([np.arange(len(forward)), backward]), np.concatenate([forward, np.arange(len(backward))])
