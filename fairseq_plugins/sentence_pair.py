"""``--task csr_sentence_pair``: inference between two sentences, ``<s> premise </s></s> hypothesis </s>``."""

from fairseq.tasks import register_task

from csr.data.labelled import Example, pair_examples
from csr.data.nli import LABELS, read_nli
from fairseq_plugins.classification import ClassificationConfig, ClassificationTask


@register_task("csr_sentence_pair", dataclass=ClassificationConfig)
class SentencePairTask(ClassificationTask):
    """Natural language inference; the label is read at ``<s>``."""

    labels = LABELS
    pooled = True

    def examples(self, path: str) -> list[Example]:
        """Read premises, hypotheses and labels."""
        return pair_examples(read_nli(path), self.pieces, self.cfg.max_length)
