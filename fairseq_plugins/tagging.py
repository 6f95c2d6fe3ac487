"""``--task csr_tagging``: a tag for each token, read at its first piece (Devlin et al. 2019, section 5.3)."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from fairseq.tasks import register_task

from csr.data.labelled import Example, cut_sentences, tag_examples, tag_names
from csr.data.ner import Sentence, read_ner
from csr.errors import ConfigError
from csr.switching.settings import LABELLED, Labelled
from fairseq_plugins.classification import ClassificationConfig, ClassificationTask
from fairseq_plugins.fields import read_fields, settings_fields


@dataclass
@settings_fields(LABELLED, ["entities"])
class TaggingConfig(ClassificationConfig):
    """Settings of ``csr_tagging``."""

    types: str = field(
        default="LOC,ORG,PER", metadata={"help": "comma-separated types of entities, in the order of the head's tags"}
    )


@register_task("csr_tagging", dataclass=TaggingConfig)
class TaggingTask(ClassificationTask):
    """Named entities in files of tokens and IOB2 tags; the loss is over first pieces alone."""

    cfg: TaggingConfig
    pooled = False

    def __init__(self, cfg: TaggingConfig) -> None:
        super().__init__(cfg)
        self.types = cfg.types.split(",")
        if len(set(self.types)) < len(self.types) or not all(self.types):
            raise ConfigError(f"--types: expected each type once, found {cfg.types!r}")
        self.labels = tag_names(self.types)

    def rows(self, path: str) -> list[Sentence]:
        """Read tokens and tags; long sentences are cut between entities."""
        sentences, _ = read_ner(path, self.types)
        return cut_sentences(sentences, self.pieces, self.cfg.max_length)

    def encode(self, rows: Sequence[Sentence]) -> list[Example]:
        """The examples of sentences; one that is too long gives several."""
        return tag_examples(rows, self.pieces, self.labels, self.cfg.max_length)

    def switched(self, row: Sentence, epoch: int, index: int) -> Sentence:
        """A sentence with words switched, each with the tag of its word."""
        return self.switcher.sentence(row, epoch, index)

    def texts_of(self, row: Sentence) -> Sequence[str]:
        """The tokens."""
        return row.tokens

    @property
    def switching(self) -> Labelled:
        """The settings of switching, checked."""
        return read_fields(self.cfg, LABELLED)
