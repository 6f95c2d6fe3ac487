"""The embedded sample: a small bilingual corpus from a grammar of our own, the same for the same seed.

A sentence is drawn once, as a meaning (``Clause``), and then said in two invented languages, under codes that
ISO 639 leaves to private use:

* **qaa** is isolating: articles, prepositions, subject-verb-object, adjective before noun, owner after the owned,
  compounds written apart, clauses joined as "S because S".
* **qab** is agglutinative with vowel harmony: cases, subject-object-verb, adjective after its noun and agreeing with
  it, owner before the owned, compounds written together, pronouns dropped, the reason before what it explains.

Words are made from syllables. Content words have Zipf frequencies and a topic, and a sentence keeps to one topic, so
that the company of a word tells something about it; some have a synonym, some forms mean two things, some words are
cognates, and most names are the same on both sides.
"""

from __future__ import annotations

import itertools
from bisect import bisect
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from csr.data.texts import sentence_key
from csr.files import PathLike, write_text
from csr.lexicon import Lexicon, write_lexicon

LANGUAGES = ("qaa", "qab")

# Concepts of each category, the most frequent first: rank r has weight 1 / (r + shift).
N_CONCEPTS = {"noun": 560, "verb": 200, "adjective": 160, "adverb": 40, "name": 160, "numeral": 9}
ZIPF_SHIFT = 2.0
N_TOPICS, TOPIC_BOOST = 10, 30.0  # words of a sentence's topic weigh 30 times as much in it
COGNATE_RATE, SAME_NAME_RATE, POLYSEMY_RATE, SYNONYM_RATE = 0.12, 0.6, 0.08, 0.16

# Onsets, sets of vowels and codas. A qab word keeps to one set: vowel harmony.
SOUNDS = {
    "qaa": ("b d f g h j k l m n p r s t v w bl br dr fl gr kl kr pl pr st tr", ["a e i o u ai ou"], "n r l s t m"),
    "qab": ("h j k l m n p r s t v z č š ž ts", ["a o u i e", "ä ö ü i e"], "n r l s k š"),
}
# What the sounds of a qaa word become in its qab cognate.
SOUND_LAWS = {"ai": "ä", "ou": "ö", "w": "v", "b": "p", "d": "t", "g": "k", "f": "h"}

PRONOUN = {"1sg": "mei", "2sg": "dou", "3sg": "he", "1pl": "wi", "2pl": "jai", "3pl": "sai"}  # qaa; qab drops them
COPULA = {"present": "bai", "past": "bod", "future": "bain"}  # qaa; qab inflects a verb, ole
VERB_ENDING = {"present": "", "past": "od", "future": ""}  # qaa; the third person singular present adds -et
# In the endings of qab, A stands for a or ä, O for o or ö, U for u or ü.
CASE = {"nominative": "", "accusative": "m", "genitive": "nO", "dative": "lA", "locative": "ssA", "ablative": "stA"}
TENSE = {"present": "", "past": "dU", "future": "jOs"}
PERSON = {"1sg": "n", "2sg": "t", "3sg": "", "1pl": "mek", "2pl": "tek", "3pl": "lAr"}
PLURAL = "tU"
PARTICLES = ("ta", "un", "do", "wel", "no", "mo", "kes", "mat", "köz", "van", "kera", "zutta", "hölki")
# Each preposition of qaa with the case and the postposition that say it in qab.
ADPOSITIONS = {
    "po": ("locative", ""),
    "fru": ("ablative", ""),
    "til": ("dative", ""),
    "wod": ("genitive", "kera"),
    "ander": ("genitive", "zutta"),
    "sins": ("genitive", "hölki"),
}


@dataclass(frozen=True, eq=False)
class Word:
    """A content word in both languages. Each draw is a new object, equal only to itself, and so links two forms."""

    qaa: str
    qab: str
    frame: str = ""  # the case a verb asks of its object; empty: it takes none


@dataclass(frozen=True)
class NounPhrase:
    """A noun with what belongs to it, a name, or a pronoun (no head)."""

    head: Word | None
    person: str = "3sg"
    article: str = ""  # of qaa; qab only tells definite objects from indefinite ones, by case
    numeral: Word | None = None
    adjective: Word | None = None
    modifier: Word | None = None  # first part of a compound
    owner: NounPhrase | None = None


@dataclass(frozen=True)
class Clause:
    """Who does what to whom, where and how; or, if the predicate is an adjective, what the subject is like."""

    subject: NounPhrase
    predicate: Word
    is_verb: bool
    object: NounPhrase | None
    tense: str
    negative: bool
    place: tuple[str, NounPhrase] | None
    adverb: Word | None
    reason: Clause | None = None
    ending: str = "."


Token = tuple[str, tuple[Word, ...]]  # a form and the content words it says


class World:
    """The vocabulary of both languages, and the meanings drawn from it."""

    def __init__(self, seed: int) -> None:
        self._rng = np.random.default_rng(seed)
        self._topic = 0
        self._taken = {*PRONOUN.values(), *COPULA.values(), *ADPOSITIONS, *PARTICLES}
        self._concepts: dict[str, list[list[Word]]] = {}  # category -> concept -> its synonyms
        self._sums: dict[str, list[list[float]]] = {}  # category -> topic -> running sums of the concepts' weights
        for category, size in N_CONCEPTS.items():
            concepts = self._concepts[category] = []
            for rank in range(size):
                concepts.append(self._new_concept(category, rank, concepts))
            topics = self._rng.integers(N_TOPICS, size=size)
            weights = 1 / (np.arange(size) + ZIPF_SHIFT)
            boosted = (np.where(topics == topic, TOPIC_BOOST, 1.0) * weights for topic in range(N_TOPICS))
            self._sums[category] = [np.cumsum(row).tolist() for row in boosted]

    def sentence(self) -> Clause:
        """Draw the meaning of a sentence."""
        self._topic = int(self._rng.integers(N_TOPICS))
        reason = self._clause() if self._chance(0.12) else None
        return self._clause(reason, self._pick([".", ".", ".", ".", ".", ".", ".", ".", "?", "!"]))

    def _clause(self, reason: Clause | None = None, ending: str = ".") -> Clause:
        is_verb = self._chance(0.85)
        predicate = self._draw("verb" if is_verb else "adjective")
        return Clause(
            subject=self._noun_phrase(definite=0.9, pronoun=0.25),
            predicate=predicate,
            is_verb=is_verb,
            object=self._noun_phrase(definite=0.55) if predicate.frame else None,
            tense=self._pick(["present", "present", "past", "past", "future"]),
            negative=self._chance(0.12),
            place=(self._pick(list(ADPOSITIONS)), self._noun_phrase(definite=0.85)) if self._chance(0.55) else None,
            adverb=self._draw("adverb") if self._chance(0.35) else None,
            reason=reason,
            ending=ending,
        )

    def _noun_phrase(self, definite: float, pronoun: float = 0.0, owner: float = 0.12) -> NounPhrase:
        if self._chance(pronoun):
            return NounPhrase(None, self._pick(list(PRONOUN)))
        if self._chance(0.12):
            return NounPhrase(self._draw("name"))
        numeral = None
        if self._chance(0.08):
            digits = str(int(self._rng.integers(11, 100)))
            numeral = self._draw("numeral") if self._chance(0.6) else Word(digits, digits)
        plural = numeral is not None or self._chance(0.25)
        article = "ta" if self._chance(definite) else "" if plural else "un"
        return NounPhrase(
            head=self._draw("noun"),
            person="3pl" if plural else "3sg",
            article="" if numeral else article,
            numeral=numeral,
            adjective=self._draw("adjective") if self._chance(0.3) else None,
            modifier=self._draw("noun") if self._chance(0.05) else None,
            owner=self._noun_phrase(definite=0.9, owner=0.0) if self._chance(owner) else None,
        )

    def _draw(self, category: str) -> Word:
        sums = self._sums[category][self._topic]
        synonyms = self._concepts[category][bisect(sums, self._rng.random() * sums[-1])]
        word = synonyms[-1] if self._chance(0.3) else synonyms[0]
        return Word(word.qaa, word.qab, word.frame)

    def _new_concept(self, category: str, rank: int, earlier: list[list[Word]]) -> list[Word]:
        n_syllables = 1 + self._chance(0.3 + rank / 60) + self._chance(rank / 600)  # frequent words are short
        qaa = self._new_word("qaa", n_syllables)
        if category == "name":
            qaa = qaa.capitalize()
            return [Word(qaa, qaa if self._chance(SAME_NAME_RATE) else cognate(qaa))]
        qab = cognate(qaa) if self._chance(COGNATE_RATE) else self._new_word("qab", n_syllables)
        if category != "numeral" and earlier and self._chance(POLYSEMY_RATE):
            other = earlier[int(self._rng.integers(rank))][0]
            qaa, qab = (other.qaa, qab) if self._chance(0.5) else (qaa, other.qab)
        frame = self._pick(["", "accusative", "accusative", "dative"]) if category == "verb" else ""
        concept = [Word(qaa, qab, frame)]
        if category != "numeral" and self._chance(SYNONYM_RATE):
            forms = {"qaa": qaa, "qab": qab}
            language = self._pick(LANGUAGES)
            forms[language] = self._new_word(language, n_syllables)
            concept.append(Word(**forms, frame=frame))
        return concept

    def _new_word(self, language: str, n_syllables: int) -> str:
        onsets, vowel_sets, codas = SOUNDS[language]
        while True:
            vowels = self._pick(vowel_sets).split()
            word = "".join(self._pick(onsets.split()) + self._pick(vowels) for _ in range(n_syllables))
            if n_syllables == 1 or self._chance(0.4):
                word += self._pick(codas.split())
            if word not in self._taken:
                self._taken.add(word)
                return word

    def _chance(self, probability: float) -> bool:
        return bool(self._rng.random() < probability)

    def _pick(self, options: Sequence[str]) -> str:
        return options[int(self._rng.integers(len(options)))]


def cognate(qaa: str) -> str:
    """The qab cognate of a qaa word.

    >>> cognate("Waig")
    'Väk'
    """
    qab = qaa.lower()
    for old, new in SOUND_LAWS.items():
        qab = qab.replace(old, new)
    return qab.capitalize() if qaa[0].isupper() else qab


def inflect(stem: str, *endings: str) -> str:
    """Add qab endings: each takes its vowels from the last harmonic vowel before it; an e parts two consonants.

    >>> inflect("talo", "tU", "ssA"), inflect("kylör", "ssA"), inflect("mit", "lA")
    ('talotussa', 'kylöressä', 'mitela')
    """
    for ending in filter(None, endings):
        front = next((c in "äöü" for c in reversed(stem.lower()) if c in "aouäöü"), False)
        ending = ending.translate(str.maketrans("AOU", "äöü" if front else "aou"))
        stem += ending if stem[-1] in "aeiouäöü" else f"e{ending}"
    return stem


def qaa_phrase(phrase: NounPhrase) -> list[Token]:
    """Say a noun phrase in qaa."""
    if phrase.head is None:
        return [(PRONOUN[phrase.person], ())]
    out: list[Token] = [(phrase.article, ())] if phrase.article else []
    out += [(word.qaa, (word,)) for word in (phrase.numeral, phrase.adjective, phrase.modifier) if word]
    out += [(phrase.head.qaa + "is" * (phrase.person == "3pl"), (phrase.head,))]
    return [*out, ("do", ()), *qaa_phrase(phrase.owner)] if phrase.owner else out


def qaa_clause(clause: Clause) -> list[Token]:
    """Say a clause in qaa."""
    out: list[Token] = [("mo", ())] if clause.ending == "?" else []
    out += qaa_phrase(clause.subject)
    negation: list[Token] = [("no", ())] * clause.negative
    if clause.is_verb:
        third = "et" if clause.tense == "present" and clause.subject.person == "3sg" else ""
        out += [*[("wel", ())] * (clause.tense == "future"), *negation]
        out += [(clause.predicate.qaa + VERB_ENDING[clause.tense] + third, (clause.predicate,))]
    else:
        out += [(COPULA[clause.tense], ()), *negation, (clause.predicate.qaa, (clause.predicate,))]
    out += qaa_phrase(clause.object) if clause.object else []
    out += [(clause.place[0], ()), *qaa_phrase(clause.place[1])] if clause.place else []
    out += [(clause.adverb.qaa, (clause.adverb,))] if clause.adverb else []
    out += [("kes", ()), *qaa_clause(clause.reason)] if clause.reason else []
    return out


def qab_phrase(phrase: NounPhrase, case: str) -> list[Token]:
    """Say a noun phrase in qab, in a case; a numeral takes the singular."""
    if phrase.head is None:
        return []
    endings = (PLURAL if phrase.person == "3pl" and not phrase.numeral else "", CASE[case])
    said = (phrase.modifier, phrase.head) if phrase.modifier else (phrase.head,)
    out = qab_phrase(phrase.owner, "genitive") if phrase.owner else []
    out += [(phrase.numeral.qab, (phrase.numeral,))] if phrase.numeral else []
    out += [(inflect("o".join(word.qab for word in said), *endings), said)]
    out += [(inflect(phrase.adjective.qab, *endings), (phrase.adjective,))] if phrase.adjective else []
    return out


def qab_clause(clause: Clause) -> list[Token]:
    """Say a clause in qab."""
    out: list[Token] = [*qab_clause(clause.reason), ("van", ()), (",", ())] if clause.reason else []
    if clause.place:
        case, postposition = ADPOSITIONS[clause.place[0]]
        out += [*qab_phrase(clause.place[1], case), *([(postposition, ())] if postposition else [])]
    out += qab_phrase(clause.subject, "nominative")
    if clause.object:
        indefinite = clause.predicate.frame == "accusative" and clause.object.article == "un"
        out += qab_phrase(clause.object, "nominative" if indefinite else clause.predicate.frame)
    out += [(clause.adverb.qab, (clause.adverb,))] if clause.adverb else []
    out += [("mat", ())] * clause.negative
    endings = (TENSE[clause.tense], PERSON[clause.subject.person])
    if clause.is_verb:
        out += [(inflect(clause.predicate.qab, *endings), (clause.predicate,))]
    else:
        plural = PLURAL if clause.subject.person.endswith("pl") else ""
        out += [(inflect(clause.predicate.qab, plural), (clause.predicate,)), (inflect("ole", *endings), ())]
    return [*out, *[("köz", ())] * (clause.ending == "?")]


Links = list[tuple[str, str]]  # forms of both languages that say the same word


def sentences(n: int, seed: int) -> tuple[list[tuple[str, str]], Lexicon]:
    """``n`` sentence pairs, no sentence twice on either side, and the gold lexicon of their content words.

    A sentence has 4 to 16 words in qaa and 3 to 16 in qab. The lexicon gives for each form of qaa the forms of qab
    that said the same word in these sentences, by count; compounds are left out, as qaa has no one word for them.
    """
    drawn = list(itertools.islice(_drawn(seed), n))
    return [pair for pair, _ in drawn], _lexicon(links for _, links in drawn)


def _drawn(seed: int) -> Iterator[tuple[tuple[str, str], Links]]:
    """Yield sentence pairs, no sentence twice on either side, each with its links."""
    world = World(seed)
    seen: set[str] = set()
    while True:
        meaning = world.sentence()
        qaa, qab = qaa_clause(meaning), qab_clause(meaning)
        src, tgt = _text(qaa, meaning.ending), _text(qab, meaning.ending)
        if not (4 <= len(qaa) <= 16 and 3 <= len(qab) <= 16) or src in seen or tgt in seen:
            continue
        seen |= {src, tgt}
        yield (src, tgt), [(a.lower(), b.lower()) for a, word in qaa for b, other in qab if word and word == other]


def _lexicon(links: Iterable[Links]) -> Lexicon:
    """The translations of each word by count, the most frequent words first."""
    entries: dict[str, dict[str, float]] = {}
    for (form, other), count in Counter(itertools.chain.from_iterable(links)).most_common():
        entries.setdefault(form, {})[other] = count
    return Lexicon(dict(sorted(entries.items(), key=lambda entry: (-sum(entry[1].values()), entry[0]))))


def _text(tokens: list[Token], ending: str) -> str:
    text = " ".join(form for form, _ in tokens).replace(" ,", ",") + ending
    return text[0].upper() + text[1:]


def write_sample(
    out: PathLike, seed: int = 1, n_train: int = 8000, n_held_out: int = 500, n_unpaired: int = 0
) -> dict[str, int]:
    """Write train, dev and test text of both languages and the gold lexicon; return the number of lines of each.

    Args:
        n_unpaired: lines of each language that are the translation of nothing, for ``mono.LANG``. A dictionary goes
            with them, ``dictionary.qaa-qab.txt``: the content words of the training and the unpaired text, a
            translation a line, without weights. Sentences of dev and test have no part in either, in no spelling.
    """
    sizes = {"train": n_train, "dev": n_held_out, "test": n_held_out}
    stream = _drawn(seed)
    texts = {name: list(itertools.islice(stream, size)) for name, size in sizes.items()}
    for split, drawn in texts.items():
        for side, language in enumerate(LANGUAGES):
            _write(Path(out) / f"{split}.{language}", (pair[side] for pair, _ in drawn))
    write_lexicon(_lexicon(links for drawn in texts.values() for _, links in drawn), Path(out) / "lexicon.qaa-qab.tsv")
    if n_unpaired:
        held_out = {sentence_key(text) for split in ("dev", "test") for pair, _ in texts[split] for text in pair}
        new = (drawn for drawn in stream if held_out.isdisjoint(map(sentence_key, drawn[0])))
        unpaired = [list(itertools.islice(new, n_unpaired)) for _ in LANGUAGES]
        for side, language in enumerate(LANGUAGES):
            _write(Path(out) / f"mono.{language}", (pair[side] for pair, _ in unpaired[side]))
        known = _lexicon(links for drawn in (texts["train"], *unpaired) for _, links in drawn)
        lines = (f"{word}\t{other}" for word, candidates in known.entries.items() for other in candidates)
        _write(Path(out) / "dictionary.qaa-qab.txt", lines)
        sizes["mono"] = n_unpaired
    return sizes


def _write(path: Path, lines: Iterable[str]) -> None:
    with write_text(path) as stream:
        stream.writelines(f"{line}\n" for line in lines)
