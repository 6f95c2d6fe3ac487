"""Labelled text with words switched: the labels go with the words.

The version for fine-tuning data, which are small beside the model that learns from them: words are switched in text,
before it is cut into pieces, so that any vocabulary will do.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from csr.data.ner import Sentence
from csr.lexicon import Lexicon
from csr.switching.candidates import Source
from csr.switching.lines import switch_line
from csr.switching.noise import Policy, add_noise, covered
from csr.switching.settings import Labelled, Noise
from csr.switching.streams import Stream
from csr.text.forms import normalized
from csr.text.words import words


@dataclass(frozen=True)
class LabelledSwitcher:
    """Switches words of examples; what is drawn for one depends on (seed, epoch, index) alone.

    Attributes:
        lexicons: each with its words in every case (``Lexicon.cased``), and the language it goes into, where that is
            known; of several, each example draws one.
        originals: share of the examples that stay as they are.
        entities: whether words of named entities are switched like others.
        language: of the text.
    """

    lexicons: Sequence[tuple[Lexicon, str | None]]
    policy: Policy
    seed: int
    originals: float = 0.0
    entities: bool = False
    language: str | None = None

    def texts(self, texts: Sequence[str], epoch: int, index: int) -> list[str]:
        """The texts of an example, such as premise and hypothesis, switched into one language."""
        stream = Stream(self.seed, epoch, index)
        if stream.random() < self.originals:
            return list(texts)
        lexicon, target = self._drawn(stream)
        return [
            switch_line(text, lexicon, self.policy, stream, language=self.language, target_language=target).text()
            for text in texts
        ]

    def sentence(self, sentence: Sentence, epoch: int, index: int) -> Sentence:
        """A sentence of tokens and tags, each token a word.

        A translation of several words gives as many tokens, the first with the tag of its word, the others inside the
        same entity.
        """
        stream = Stream(self.seed, epoch, index)
        if stream.random() < self.originals:
            return sentence
        lexicon, target = self._drawn(stream)
        # What is no word of the lexicon stays.
        found = [
            normalized(token) if self.entities or tag == "O" else ""
            for token, tag in zip(sentence.tokens, sentence.tags, strict=True)
        ]
        new = add_noise(found, lexicon, self.policy, stream, target_language=target).words
        tokens: list[str] = []
        tags: list[str] = []
        for i, (token, tag) in enumerate(zip(sentence.tokens, sentence.tags, strict=True)):
            parts = new[i].split() if i in new else [token]
            tokens += parts
            tags += [tag, *[tag if tag == "O" else f"I-{tag[2:]}"] * (len(parts) - 1)]
        return Sentence(tuple(tokens), tuple(tags))

    def coverage(self, texts: Iterable[str]) -> float:
        """The share of the words of texts that some lexicon has a translation of, 0 to 1."""
        n_words = n_covered = 0
        for text in texts:
            for word in words(text, self.language):
                n_words += 1
                n_covered += any(covered(word, lexicon) for lexicon, _ in self.lexicons)
        return n_covered / n_words if n_words else 0.0

    def _drawn(self, stream: Stream) -> tuple[Lexicon, str | None]:
        return self.lexicons[stream.below(len(self.lexicons)) if len(self.lexicons) > 1 else 0]


def read_switcher(
    sources: Sequence[Source], noise: Noise, seed: int, originals: float, entities: bool, language: str | None = None
) -> LabelledSwitcher:
    """Read the lexicons of a switcher.

    Raises:
        DataError: a lexicon is broken, or nothing of it is left to draw.
    """
    lexicons = [source.read(noise) for source in sources]
    languages = [source.record().languages for source in sources]
    if noise.lexicon_draw == "word" and len(lexicons) > 1:
        lexicons, languages = [Lexicon.equally(lexicons)], [(languages[0][0], None)]
    cased = [(lexicon.cased(known), known[1]) for lexicon, known in zip(lexicons, languages, strict=True)]
    return LabelledSwitcher(cased, noise.make_policy(), seed, originals, entities, language)


def labelled_switcher(
    lexicons: Sequence[str], settings: Labelled, seed: int, language: str | None = None
) -> LabelledSwitcher:
    """The switcher of fine-tuning: lexicon files out of one language, and its settings."""
    sources = [Source(path, (language, None)) for path in lexicons]
    return read_switcher(sources, settings.noise, seed, settings.originals, settings.entities == "switch", language)
