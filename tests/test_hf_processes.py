"""A trainer in two processes, stopped in the middle of an epoch and started again, has the batches of one process."""

from __future__ import annotations

import json
import os
import socket
from pathlib import Path
from typing import Any

import pytest
import torch
from hf_models import DE, EN, make_model, write_lexicon

pytest.importorskip("transformers")
pytest.importorskip("accelerate")
ROWS = [{"id": i, "translation": {"de": DE[i % 3], "en": EN[i % 3]}} for i in range(20)]


def batches(folder: Path, out: str, updates: int, workers: int, resume: str | None = None) -> list[list[list[int]]]:
    """What each update of a trainer reads: rows without their padding."""
    from transformers import AutoModelForSeq2SeqLM, AutoTokenizer, Seq2SeqTrainer, Seq2SeqTrainingArguments

    from csr.hf import SwitchingCollator

    seen: list[list[list[int]]] = []

    class Recorder(Seq2SeqTrainer):
        def training_step(self, model: Any, inputs: Any, *rest: Any) -> Any:
            rows = inputs["input_ids"].tolist()
            seen.append([[i for i in row if i != tokenizer.pad_token_id] for row in rows])
            return super().training_step(model, inputs, *rest)

        def _load_optimizer_and_scheduler(self, checkpoint: Any) -> None:
            """Leave them new: transformers 4 cannot read those of several processes without cards (cpu:0)."""

    torch.set_num_threads(1)
    tokenizer = AutoTokenizer.from_pretrained(folder / "model")
    languages = {"source_lang": "de", "target_lang": "en"}
    collator = SwitchingCollator(tokenizer, "restore", folder / "de-en.tsv", **languages, seed=1)
    arguments = Seq2SeqTrainingArguments(
        output_dir=str(folder / out),
        max_steps=updates,
        per_device_train_batch_size=5,
        dataloader_num_workers=workers,
        dataloader_persistent_workers=workers > 0,
        remove_unused_columns=False,
        save_steps=1,
        use_cpu=True,
        report_to=[],
    )
    model = AutoModelForSeq2SeqLM.from_pretrained(folder / "model")
    trainer = Recorder(model, arguments, train_dataset=ROWS, data_collator=collator, callbacks=[collator])
    trainer.train(resume_from_checkpoint=resume)
    return seen


def one_of_two(rank: int, folder: Path, port: int) -> None:
    """Train as one of two processes; then go on from the first update, with a worker that is spawned as they are."""
    there = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": 2, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    os.environ.update({name: str(value) for name, value in there.items()})
    whole = batches(folder, "two", updates=4, workers=0)
    resumed = batches(folder, "again", 4, workers=1, resume=str(folder / "two/checkpoint-1"))
    (folder / f"{rank}.json").write_text(json.dumps([whole, resumed]))


@pytest.mark.slow
def test_two_processes_have_the_batches_of_one(tmp_path):
    """Four batches an epoch, which the two share in turns: the second update is in the middle of the first epoch."""
    write_lexicon(tmp_path / "de-en.tsv")
    make_model("mbart50", tmp_path / "model")
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    torch.multiprocessing.spawn(one_of_two, (tmp_path, port), nprocs=2)
    alone = batches(tmp_path, "one", updates=8, workers=1)
    assert alone[:4] != alone[4:]
    for rank in (0, 1):
        whole, resumed = json.loads((tmp_path / f"{rank}.json").read_text())
        assert whole == alone[rank::2]
        assert resumed == whole[1:]
