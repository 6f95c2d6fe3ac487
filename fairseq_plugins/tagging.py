"""``--task csr_tagging``: a tag for each token, read at its first piece (Devlin et al. 2019, section 5.3)."""

from dataclasses import dataclass, field

from fairseq.tasks import register_task

from csr.data.labelled import Example, tag_examples, tag_names
from csr.data.ner import read_ner
from csr.errors import ConfigError
from fairseq_plugins.classification import ClassificationConfig, ClassificationTask


@dataclass
class TaggingConfig(ClassificationConfig):
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

    def examples(self, path: str) -> list[Example]:
        """Read tokens and tags; long sentences are cut between entities."""
        sentences, _ = read_ner(path, self.types)
        return tag_examples(sentences, self.pieces, self.labels, self.cfg.max_length)
