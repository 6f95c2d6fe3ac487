"""Rows of a task as text: what the encoder and the decoder read, and what is to come out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from fairseq import options
from fairseq.dataclass.utils import convert_namespace_to_omegaconf
from fairseq.tasks import setup_task

import fairseq_plugins
from csr.data.nli import LABELS
from csr.errors import ConfigError
from csr.files import PathLike
from fairseq_plugins.nli import CsrNliTask
from fairseq_plugins.translation import CsrTranslationTask


def rows(data: PathLike, task_options: Sequence[str], split: str, epoch: int, n: int) -> Iterator[dict[str, str]]:
    """Yield the first rows of a split, by the name of what reads them.

    Args:
        task_options: ``--task`` and its options, as fairseq-train takes them.
        epoch: the epoch whose noise is drawn.

    Raises:
        ConfigError: the task is not one of ours.
    """
    assert fairseq_plugins.__all__  # its import registers the tasks
    parser = options.get_training_parser()
    # Any model will do: none is built.
    config = convert_namespace_to_omegaconf(
        options.parse_args_and_arch(parser, [str(data), "--arch", "transformer", *task_options])
    )
    task = setup_task(config.task)
    if not isinstance(task, CsrTranslationTask):
        raise ConfigError(f"--task: expected csr_restore, csr_translation or csr_nli, found {config.task._name}")
    task.load_dataset(split, epoch)
    dataset = task.datasets[split]
    dataset.set_epoch(epoch)
    for index in range(min(n, len(dataset))):
        batch = dataset.collater([dataset[index]])
        net = batch["net_input"]
        read = {
            "encoder input": net["src_tokens"][0],
            "decoder input": net["prev_output_tokens"][0],
        }
        labelled = isinstance(task, CsrNliTask)
        if not labelled:
            read["target"] = batch["target"][0]
        row = {name: " ".join(task.tgt_dict[int(i)] for i in ids) for name, ids in read.items()}
        yield row | ({"label": LABELS[int(batch["target"][0])]} if labelled else {})
