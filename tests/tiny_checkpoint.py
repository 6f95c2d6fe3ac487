"""Text, subwords, binary data and fairseq checkpoints with random weights, as small as can be and without training."""

from __future__ import annotations

import shutil
from pathlib import Path

import torch
from evaluation_outputs import references

from csr.data import subwords
from csr.data.rows import Vocabulary

LANGUAGES = ("xx", "yy")


def make_data(folder: Path, n: int = 24) -> Path:
    """Write ``test.xx`` and ``test.yy``, ``spm.model`` and ``bin/`` with splits train, valid and test."""
    english = references(n)
    texts = dict(zip(LANGUAGES, (english, [line[::-1] for line in english]), strict=True))
    texts["xx"][0], texts["yy"][3] = "", ""  # an empty sentence on either side
    subwords.train(list(texts.values()), 90, folder / "spm.model")
    model = subwords.load(folder / "spm.model")
    subwords.write_dictionary(subwords.model_pieces(model), {}, folder / "dict.txt")
    vocabulary = Vocabulary.read(folder / "spm.model", folder / "dict.txt")
    for language, lines in texts.items():
        for split in ("train", "valid", "test"):
            vocabulary.write(lines, folder / "bin" / f"{split}.{'-'.join(LANGUAGES)}.{language}")
        shutil.copyfile(folder / "dict.txt", folder / "bin" / f"dict.{language}.txt")
        (folder / f"test.{language}").write_text("".join(f"{line}\n" for line in lines))
    return folder


def make_checkpoint(
    path: Path,
    data: Path,
    seed: int = 1,
    updates: int = 0,
    task: str = "csr_translation",
    start: Path | None = None,
    language_ids: str = "append",
) -> Path:
    """Write a checkpoint of two layers and 16 dimensions; one of a task not ours has its settings where mBART has."""
    from fairseq import options
    from fairseq.dataclass.utils import convert_namespace_to_omegaconf
    from fairseq.tasks import setup_task
    from omegaconf import OmegaConf

    import fairseq_plugins  # noqa: F401

    command = f"{data / 'bin'} --task csr_translation --source-lang xx --target-lang yy --arch mbart_large --cpu"
    command += " --encoder-layers 2 --encoder-embed-dim 16 --encoder-ffn-embed-dim 16 --encoder-attention-heads 2"
    command += " --decoder-layers 2 --decoder-embed-dim 16 --decoder-ffn-embed-dim 16 --decoder-attention-heads 2"
    command += " --encoder-normalize-before --decoder-normalize-before --layernorm-embedding --share-all-embeddings"
    command += f" --finetune-from-model {start}" if start else ""
    command += f" --language-ids {language_ids}"
    arguments = options.parse_args_and_arch(options.get_training_parser(), command.split())
    config = convert_namespace_to_omegaconf(arguments)
    torch.manual_seed(seed)
    model = setup_task(config.task).build_model(config.model, from_checkpoint=True)
    state = {"model": model.state_dict(), "optimizer_history": [{"num_updates": updates, "lr_scheduler_state": {}}]}
    state["extra_state"] = {"train_iterator": {"epoch": 1, "iterations_in_epoch": 0}, "val_loss": None}
    if task.startswith("csr_"):
        config.task._name = task
        state["cfg"] = OmegaConf.to_container(config)
    else:
        arguments.task = task
        state["args"] = arguments
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.save(state, path)
    return path
