"""The settings of switching, each declared once: YAML, command lines and fairseq's tasks are made from these."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Literal

from csr.errors import ConfigError
from csr.lexicon_record import Kind
from csr.settings import check_needs, like, name_of, setting
from csr.switching.noise import FixedSpans, IndependentWords, PoissonSpans, Policy, Schedule

# Which words are replaced and by what; which candidates of a lexicon take part. For commands that have but one part.
WORDS = ("policy", "rate", "mean_span", "zero_spans", "span", "gate", "share_of", "unit")
CANDIDATES = ("top_k", "temperature", "min_weight", "min_length", "stop_words", "keep_identical")


@dataclass(frozen=True)
class Noise:
    """What is done to a sentence: which words are replaced, how many of them, and by what.

    Settings left open (None) go by the kind of the lexicon: ``resolved``.
    """

    policy: Literal["poisson", "fixed", "independent"] = setting(
        "poisson",
        help="which words: poisson or fixed spans of words until the rate is reached, or single words (independent)",
        source="poisson: Zan et al., section 3.2; independent: Visser et al., section 3.1",
    )
    rate: float = setting(
        0.35, low=0, high=1, help="share of words replaced, 0 to 1", source="the mask ratio of mBART: Zan et al., 4.2"
    )
    mean_span: float = setting(
        3.5,
        low=0.01,
        needs=("policy", ("poisson",)),
        help="poisson: mean length of a span in words",
        source="Zan et al., section 3.2",
    )
    zero_spans: Literal["redraw", "insert"] = setting(
        "redraw",
        needs=("policy", ("poisson",)),
        help="poisson: a span of no words is drawn again (redraw) or inserts a <mask>, as in BART (insert)",
    )
    span: int = setting(3, low=1, needs=("policy", ("fixed",)), help="fixed: length of a span in words")
    gate: float = setting(
        0.5,
        low=0,
        high=1,
        needs=("policy", ("independent",)),
        help="independent: probability that a sentence, or block, is touched at all, 0 to 1",
        source="Visser et al., section 3.1",
    )
    share_of: Literal["words", "switchable"] = setting(
        "words",
        needs=("policy", ("independent",)),
        help="independent: what the rate is a share of: words (all of them) or switchable (those with a candidate); a "
        "sentence that is touched has one word replaced at least",
    )
    unit: Literal["word", "piece"] = setting(
        "word",
        help="what is replaced, counted and looked up: word, or piece, as the released code of Zan et al. does (the "
        "lexicon then holds pieces)",
    )
    schedule: Literal["constant", "linear", "cosine"] = setting(
        "constant",
        help="how the rate moves from rate to rate_end over the updates: constant (it stays), linear or cosine",
    )
    rate_end: float = setting(
        0.35, low=0, high=1, needs=("schedule", ("linear", "cosine")), help="share of words replaced at its end, 0 to 1"
    )
    schedule_updates: int = setting(
        5000, low=1, needs=("schedule", ("linear", "cosine")), help="updates until the rate is at rate_end"
    )
    replace: Literal["translation", "mask", "mixture"] = setting(
        "translation",
        help="what stands for a run of replaced words: translations, one <mask> (mBART's noise; needs no lexicon), or "
        "either, drawn for each run (mixture)",
    )
    mask_share: float = setting(
        0.5,
        low=0,
        high=1,
        needs=("replace", ("mixture",)),
        help="mixture: probability that a run becomes a <mask>, 0 to 1",
    )
    permute_sentences: bool = setting(
        False, help="put the sentences of an instance in random order too", source="Liu et al. 2020, section 2.2"
    )
    prefer_aligned: bool = setting(
        False, help="draw among the candidates that stand in the other side of the pair, if there are any"
    )
    lexicon_draw: Literal["sentence", "word"] = setting(
        "sentence", help="of several lexicons, one is drawn for each sentence, or for each word"
    )
    top_k: int | None = setting(
        None,
        low=1,
        help="candidates of a word that take part, best first (default: 3 of a lexicon of similarities, else all)",
        source="3 as in the released code of Zan et al.",
    )
    temperature: float | None = setting(
        None,
        low=0.01,
        infinite=True,
        help="draw candidates with probability weight^(1/T); inf: uniformly (default: 1 for a lexicon of "
        "probabilities, else inf)",
        source="uniformly: Zan et al., section 4.1; T: Visser et al., section 3.1",
    )
    min_weight: float | None = setting(
        None,
        low=0,
        help="leave out candidates of less weight (default: 0.02 for a lexicon of probabilities, else 0)",
        source="Visser et al., section 3.1",
    )
    min_length: int = setting(
        1, low=1, help="words of fewer characters stay", source="4 in pretraining: Visser et al., section 3.1"
    )
    stop_words: tuple[str, ...] | None = setting(
        None,
        help="words that are neither replaced nor drawn: of the one language and the other its code in stopwords-iso, "
        "a file of one word a line, or none, with a comma between; none alone: of neither (default: those of both "
        "languages in pretraining and for a lexicon of probabilities, else none)",
        source="Visser et al., section 3.1",
    )
    keep_identical: bool = setting(
        False,
        help="draw candidates equal to their word too (in any case); they change nothing, yet count as replaced",
    )
    max_growth: float = setting(
        2.0,
        low=1,
        help="a sentence that would grow past this many times its pieces stays clean and is counted; a batch exceeds "
        "its limit by at most this factor",
    )

    def check(self, prefix: str) -> None:
        """Raise ConfigError for settings that do nothing beside the others, and for stop words of three languages."""
        check_needs(self, type(self)(), prefix)
        if self.stop_words is not None and len(self.stop_words) != 2 and self.stop_words != ("none",):
            found = len(self.stop_words)
            raise ConfigError(
                f"{name_of(prefix, 'stop_words')}: expected two, such as en,none, or none alone, found {found}"
            )

    def make_policy(self) -> Policy:
        """The policy, which chooses the words."""
        match self.policy:
            case "poisson":
                return PoissonSpans(self.rate, self.mean_span, self.zero_spans == "insert")
            case "fixed":
                return FixedSpans(self.rate, self.span)
            case "independent":
                return IndependentWords(self.rate, self.gate, self.share_of)

    def make_schedule(self) -> Schedule | None:
        """The rate over the updates; None where it stays."""
        if self.schedule == "constant":
            return None
        return Schedule(self.schedule, self.rate, self.rate_end, self.schedule_updates)

    def rate_at(self, update: int) -> float:
        """The rate of the batches of an update, counted from 0."""
        schedule = self.make_schedule()
        return schedule.rate(update) if schedule else self.rate

    @property
    def mask_probability(self) -> float:
        """The probability that a run of replaced words becomes a ``<mask>``."""
        return {"translation": 0.0, "mask": 1.0, "mixture": self.mask_share}[self.replace]

    @property
    def reversed(self) -> Noise:
        """The settings for words of the second language: the stop words of the two change places."""
        return dataclasses.replace(self, stop_words=self.stop_words and self.stop_words[::-1])

    def resolved(self, kind: Kind) -> Noise:
        """The settings with those left open as the kind of a lexicon asks for.

        Similarities (VecMap) are drawn uniformly among the three nearest (Zan et al., section 4.1, which leaves the
        number open; 3 as in its released code). Probabilities (IBM Model 1) as they are, from 2 % on, without stop
        words (Visser et al., section 3.1). Dictionaries, which say nothing of how good a candidate is, uniformly.

        # Deviation: Visser et al. flatten probabilities with T = 3, for pretraining. To restore a sentence, what is
        # drawn should be right: on captions a candidate drawn with T = 1 stands in the translation more often.

        ``stop_words`` stays None where those of the languages at hand are meant, else names both sides.
        """
        probabilities = kind == "probabilities"
        stop_words = self.stop_words
        if stop_words == ("none",) or (stop_words is None and not probabilities):
            stop_words = ("none", "none")
        top_k = self.top_k or (3 if kind == "similarities" else None)
        temperature, min_weight = self.temperature, self.min_weight
        return dataclasses.replace(
            self,
            top_k=top_k,
            temperature=temperature if temperature is not None else 1.0 if probabilities else float("inf"),
            min_weight=min_weight if min_weight is not None else 0.02 if probabilities else 0.0,
            stop_words=stop_words,
        )


# Every word that has a translation becomes one of them: word-for-word translation, as Hu et al. 2019 back-translate.
WORD_FOR_WORD = Noise(policy="independent", rate=1.0, gate=1.0, share_of="switchable", stop_words=("none",))


@dataclass(frozen=True)
class TranslatedWords:
    """Which words of a line word-for-word back-translation translates."""

    word_rate: float = setting(
        1.0, low=0, high=1, help="words: share of the words with a translation that become one, 0 to 1"
    )
    rare_first: bool = setting(
        False,
        help="words, at a rate below 1: draw them with chances inverse to how often the pairs have them, not alike",
        source="rare words: Fadaee et al. 2017",
    )

    def check(self, prefix: str) -> None:
        """Raise ConfigError for rare words first where all words are translated."""
        if self.rare_first and self.word_rate == 1:
            rate = name_of(prefix, "word_rate")
            raise ConfigError(f"{name_of(prefix, 'rare_first')}: expected with {rate} below 1, found 1: all words")

    @property
    def policy(self) -> IndependentWords:
        """The policy, which chooses the words."""
        return IndependentWords(self.word_rate, 1.0, "switchable", self.rare_first)


_PAPER = Noise(policy="independent", rate=0.03, temperature=3.0, min_weight=0.02, min_length=4)


@dataclass(frozen=True)
class Pretraining:
    """The settings of switching that pretraining has, with the values of Visser et al., section 3.1."""

    rate: float = like(_PAPER, "rate")
    gate: float = like(_PAPER, "gate")
    share_of: Literal["words", "switchable"] = like(_PAPER, "share_of")
    top_k: int | None = like(_PAPER, "top_k")
    temperature: float = like(_PAPER, "temperature")
    min_weight: float = like(_PAPER, "min_weight")
    min_length: int = like(_PAPER, "min_length")
    stop_words: tuple[str, ...] | None = like(_PAPER, "stop_words")
    keep_identical: bool = like(_PAPER, "keep_identical")

    def check(self, prefix: str) -> None:
        """Raise ConfigError for stop words of three languages."""
        self.noise.check(prefix)

    @property
    def noise(self) -> Noise:
        """The same as settings of switching."""
        return dataclasses.replace(_PAPER, **vars(self))


PRETRAINING = Pretraining()


# Word translation of labelled text: every word that has a translation (Yong, Menghini and Bach 2024, LexC-Gen).
_TRANSLATION = Noise(policy="independent", rate=1.0, gate=1.0, share_of="switchable")


@dataclass(frozen=True)
class Labelled:
    """The settings of switching labelled text: every word that a lexicon has, in half of the examples, by default."""

    originals: float = setting(
        0.5,
        low=0,
        high=1,
        help="share of the examples that stay as they are, drawn anew each epoch, 0 to 1",
        source="originals have to stay in: Yong et al. 2024",
    )
    entities: Literal["keep", "switch"] = setting(
        "keep", help="words of named entities stay (keep), or are switched like others (switch)"
    )
    rate: float = like(_TRANSLATION, "rate")
    gate: float = like(_TRANSLATION, "gate")
    share_of: Literal["words", "switchable"] = like(_TRANSLATION, "share_of")
    lexicon_draw: Literal["sentence", "word"] = like(_TRANSLATION, "lexicon_draw")
    top_k: int | None = like(_TRANSLATION, "top_k")
    temperature: float | None = like(_TRANSLATION, "temperature")
    min_weight: float | None = like(_TRANSLATION, "min_weight")
    min_length: int = like(_TRANSLATION, "min_length")
    stop_words: tuple[str, ...] | None = like(_TRANSLATION, "stop_words")
    keep_identical: bool = like(_TRANSLATION, "keep_identical")

    def check(self, prefix: str) -> None:
        """Raise ConfigError for stop words of three languages."""
        self.noise.check(prefix)

    def expect_task(self, task: str) -> None:
        """Raise ConfigError for a setting of named entities beside another task than ``ner``."""
        if task != "ner" and self.entities != "keep":
            raise ConfigError(f"--entities: expected with ner alone, found {self.entities} with {task}")

    @property
    def noise(self) -> Noise:
        """The same as settings of switching."""
        own = {name: value for name, value in vars(self).items() if name not in ("originals", "entities")}
        return dataclasses.replace(_TRANSLATION, **own)


LABELLED = Labelled()
