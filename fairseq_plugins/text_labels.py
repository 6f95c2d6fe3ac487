"""``--task csr_text``: the label of a text, such as its topic or sentiment, read at ``<s>``."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from fairseq.tasks import register_task
from omegaconf import MISSING

from csr.data.labelled import Example, text_examples
from csr.data.text_labels import LabelledText, read_texts
from csr.errors import ConfigError
from fairseq_plugins.classification import ClassificationConfig, ClassificationTask


@dataclass
class TextConfig(ClassificationConfig):
    """Settings of ``csr_text``."""

    labels: str = field(default=MISSING, metadata={"help": "comma-separated labels, in the order of the head's"})


@register_task("csr_text", dataclass=TextConfig)
class TextTask(ClassificationTask):
    """Classification of texts; what is longer than the limit loses its end."""

    cfg: TextConfig
    pooled = True

    def __init__(self, cfg: TextConfig) -> None:
        super().__init__(cfg)
        self.labels = cfg.labels.split(",")
        if len(set(self.labels)) < len(self.labels) or len(self.labels) < 2 or not all(self.labels):
            raise ConfigError(f"--labels: expected two or more, each once, found {cfg.labels!r}")

    def rows(self, path: str) -> list[LabelledText]:
        """Read texts and labels."""
        return read_texts(path, self.labels)

    def encode(self, rows: Sequence[LabelledText]) -> list[Example]:
        """The examples of texts."""
        return text_examples(rows, self.pieces, self.labels, self.cfg.max_length)

    def switched(self, row: LabelledText, epoch: int, index: int) -> LabelledText:
        """A text with words switched."""
        (text,) = self.switcher.texts(self.texts_of(row), epoch, index)
        return replace(row, text=text)

    def texts_of(self, row: LabelledText) -> Sequence[str]:
        """The text."""
        return (row.text,)
