"""``--task csr_sentence_pair``: inference between two sentences, ``<s> premise </s></s> hypothesis </s>``."""

from collections.abc import Sequence
from dataclasses import replace

from fairseq.tasks import register_task

from csr.data.labelled import Example, pair_examples
from csr.data.nli import LABELS, NliExample, read_nli
from fairseq_plugins.classification import ClassificationConfig, ClassificationTask


@register_task("csr_sentence_pair", dataclass=ClassificationConfig)
class SentencePairTask(ClassificationTask):
    """Natural language inference; the label is read at ``<s>``."""

    labels = LABELS
    pooled = True

    def rows(self, path: str) -> list[NliExample]:
        """Read premises, hypotheses and labels."""
        return read_nli(path)

    def encode(self, rows: Sequence[NliExample]) -> list[Example]:
        """The examples of pairs."""
        return pair_examples(rows, self.pieces, self.cfg.max_length)

    def switched(self, row: NliExample, epoch: int, index: int) -> NliExample:
        """A pair with words of both sentences switched, into one language."""
        premise, hypothesis = self.switcher.texts(self.texts_of(row), epoch, index)
        return replace(row, premise=premise, hypothesis=hypothesis)

    def texts_of(self, row: NliExample) -> Sequence[str]:
        """Both sentences."""
        return row.premise, row.hypothesis
