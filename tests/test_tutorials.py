"""The tutorials run as they stand: their files are written, their commands called, on small text, for few updates."""

from __future__ import annotations

import os
import re
import shutil
import stat
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
import torch
import yaml

from csr.data.sample import write_sample

pytestmark = pytest.mark.slow

DOCS = Path(__file__).parents[1] / "docs"
BLOCK = re.compile(r"^```(yaml|bash)\n(.*?)^```", re.DOTALL | re.MULTILINE)
STAGE = {"updates": 4, "lr": 1.0e-3, "warmup": 2, "max_tokens": 1000, "save_every": 4}
# What makes the small runs of a page smaller still; nothing else differs from what a reader types.
SHORT = {
    "arms": ["baseline", "csr"],
    "seeds": [1],
    "data": {"pieces": 300, "dev_size": 20, "test_size": 20},
    "backbone": {"layers": 1, "dim": 32, "ffn": 64, "heads": 2, "train": STAGE},
    "restore": STAGE,
    "finetune": STAGE,
}
# Of the quickstart, whose settings are its own, only that it reads the files.
QUICK = ["--until", "prepare", "--set", "data.dev_size=20", "--set", "data.test_size=20"]


def flat(settings: dict, prefix: str = "") -> list[str]:
    """Settings as ``--set`` takes them."""
    found = []
    for name, value in settings.items():
        if isinstance(value, dict):
            found += flat(value, f"{prefix}{name}.")
        else:
            found += ["--set", f"{prefix}{name}={yaml.safe_dump(value, default_flow_style=True).split(chr(10))[0]}"]
    return found


def program(folder: Path, name: str, text: str) -> None:
    """Put a program on the PATH of a tutorial."""
    path = folder / "bin" / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    path.chmod(path.stat().st_mode | stat.S_IXUSR)


def tutorial(page: str, folder: Path, short: Sequence[str], until: str = "") -> str:
    """Do in a folder what a page says, in its order; return what its commands printed.

    A YAML block that begins with the name of a file becomes that file.

    Args:
        short: further arguments of ``csr run`` and ``csr curve``.
        until: the heading where to stop.
    """
    program(folder, "pip", "#!/bin/sh\n")
    program(folder, "csr", f"#!{sys.executable}\nimport sys\nfrom csr.cli import main\n"
            f"short = {list(short)!r} if sys.argv[1] in ('run', 'curve') else []\n"
            f"short = {QUICK!r} if 'quickstart' in ' '.join(sys.argv[1:3]) else short\n"
            "sys.exit(main([*sys.argv[1:], *short]))\n")  # fmt: skip
    text = (DOCS / page).read_text(encoding="utf-8").replace("/shared/", f"{folder}/shared/")
    printed = ""
    for kind, block in BLOCK.findall(text.partition(f"\n## {until}\n")[0] if until else text):
        if kind == "yaml":
            if named := re.match(r"# (\S+\.yaml)\b", block):
                (folder / named[1]).parent.mkdir(exist_ok=True)
                (folder / named[1]).write_text(block)
            continue
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", block],
            cwd=folder,
            env=os.environ | {"PATH": f"{folder}/bin:{os.environ['PATH']}", "OMP_NUM_THREADS": "1", "USER": "reader"},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, f"{block}\n{done.stdout}\n{done.stderr[-3000:]}"
        printed += done.stdout
    return printed


def write_pairs(folder: Path, n: int = 200) -> None:
    """Write the sample's text under the names of the tutorials."""
    write_sample(folder / "sample", 1, n)
    for ours, theirs in (("qaa", "de"), ("qab", "en")):
        lines = (folder / f"sample/train.{ours}").read_text().splitlines(keepends=True)
        (folder / f"train.{theirs}").write_text("".join(lines[:n]))
        (folder / f"new.{theirs}").write_text("".join(lines[:5]))


def test_own_two_files(tmp_path: Path) -> None:
    write_pairs(tmp_path)
    for file in [*DOCS.parent.glob("scripts/quickstart.sh"), *DOCS.parent.glob("configs/quickstart*.yaml")]:
        (tmp_path / file.parent.name).mkdir(exist_ok=True)
        shutil.copy(file, tmp_path / file.parent.name)
    (tmp_path / "scripts/setup.sh").write_text(f"root={tmp_path}\n")
    printed = tutorial("own-files.md", tmp_path, flat(SHORT), until="What you find")
    assert "restore seed 1: " in printed  # what would be done
    assert "| CSR |" in printed
    assert (tmp_path / "runs/quickstart-de-en/data/prepare.json").is_file()
    for name in re.findall(r"^\| `([^`]+)`", (DOCS / "own-files.md").read_text(), re.MULTILINE):
        assert (tmp_path / "runs/mine" / name).is_file(), name


def test_a_pretend_cluster(tmp_path: Path) -> None:
    """Slurm as the plugin of Snakemake calls it: jobs are taken, run at once, and their states told."""
    pytest.importorskip("snakemake_executor_plugin_slurm")
    write_pairs(tmp_path)
    (tmp_path / "shared").mkdir()
    (tmp_path / "mine.yaml").write_text(
        yaml.safe_dump({"data": {"source_lang": "de", "target_lang": "en", "src": "train.de", "tgt": "train.en"}})
    )
    jobs = tmp_path / "jobs"
    jobs.mkdir()
    program(
        tmp_path,
        "sbatch",
        f"""#!/bin/bash
id=$(($(ls {jobs} | grep -c args) + 1))
printf '%s\\n' "$@" > {jobs}/$id.args
for last; do :; done
echo RUNNING > {jobs}/$id.state
(export SLURM_JOB_ID=$id SLURM_JOB_NODELIST=node; bash -c "${{last#--wrap=}}" > {jobs}/$id.log 2>&1 &&
    echo COMPLETED > {jobs}/$id.state || echo FAILED > {jobs}/$id.state) > /dev/null 2>&1 < /dev/null &
echo $id
""",
    )
    program(tmp_path, "srun", '#!/bin/bash\nwhile [[ $1 == -* ]]; do shift; done\nexec "$@"\n')
    program(
        tmp_path,
        "sacct",
        f'#!/bin/bash\nfor file in {jobs}/*.state; do echo "$(basename $file .state)|$(cat $file)"; done\n',
    )
    program(tmp_path, "sshare", "#!/bin/sh\necho mt\n")
    program(tmp_path, "sinfo", "#!/bin/sh\necho gpu*\n")
    program(tmp_path, "scancel", "#!/bin/sh\n")
    short = [*flat(SHORT), "--until", "backbone"]
    printed = tutorial("cluster.md", tmp_path, short, until="Several cards on one machine")
    asked = {
        re.search(r"^rule_(.*)$", text, re.MULTILINE)[1]: text for text in (p.read_text() for p in jobs.glob("*.args"))
    }
    assert {"prepare", "backbone seed 1"} <= set(asked)
    assert "--gpus=1" in asked["backbone seed 1"]
    assert "--gpus" not in asked["prepare"]
    assert (tmp_path / "shared/runs/mine/seed-1/backbone/model.pt").is_file()
    assert "not running; 2 of" in printed


def test_entities_of_an_african_language(tmp_path: Path) -> None:
    """The encoder is a small XLM-R of random weights, the languages are English words and the same ones reversed."""
    from encoders import Task
    from test_tagging import encoder_settings, sentences

    from csr.backbone.encoder_hf import export_encoder
    from csr.data import subwords
    from csr.data.ner import Sentence, write_ner
    from fairseq_plugins.encoder import CsrBert

    def named(found: list[Sentence], foreign: bool = False) -> list[Sentence]:
        plain = [Sentence(s.tokens, tuple(tag.replace("MISC", "ORG") for tag in s.tags)) for s in found]
        return [Sentence(tuple(token[::-1] for token in s.tokens), s.tags) for s in plain] if foreign else plain

    texts = {
        "en/train.txt": named(sentences(60)),
        "en/dev.txt": named(sentences(12, 1)),
        "sw/test.txt": named(sentences(12, 2), foreign=True),
    }
    for name, found in texts.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        write_ner(found, tmp_path / name)
    words = sorted({token for s in texts["en/train.txt"] for token in s.tokens})
    (tmp_path / "en-sw.txt").write_text("".join(f"{word}\t{word[::-1]}\n" for word in words))
    (tmp_path / "new.sw").write_text("".join(f"{' '.join(s.tokens)}\n" for s in texts["sw/test.txt"][:3]))
    lines = [" ".join(s.tokens) for found in texts.values() for s in found]
    model = tmp_path / "model"
    model.mkdir()
    subwords.train([lines * 3], 60, model / "sentence.bpe.model")
    pieces = subwords.model_pieces(subwords.load(model / "sentence.bpe.model"))
    subwords.write_dictionary(pieces, {}, model / "dict.txt")
    settings = encoder_settings()
    settings.max_positions = 130
    torch.manual_seed(1)
    encoder = CsrBert.build_model(settings, Task(model / "dict.txt"))
    state = {"model": encoder.state_dict(), "cfg": {"model": vars(settings), "task": {"_name": "csr_masked_lm"}}}
    torch.save(state, model / "model.pt")
    export_encoder(model / "model.pt", tmp_path / "afro-xlmr")
    short = flat({"seeds": [1], "arms": ["zero_shot", "switched_originals"]})
    printed = tutorial("ner.md", tmp_path, short)
    assert "| afro-xlmr | Switched and originals |" in printed
    tagged = [line.split("\t") for line in (tmp_path / "tagged.sw").read_text().splitlines()]
    tokens = (tmp_path / "new.sw").read_text().split()
    assert [row[0] for row in tagged if len(row) == 2] == tokens
    scored = [line.split("\t") for line in printed.splitlines() if len(line.split("\t")) == 3]
    assert [row[0] for row in scored] == tokens[: len(scored)]


def test_little_parallel_text(tmp_path: Path) -> None:
    """The settings of the page, its files being the sample's; an arm of each kind."""
    write_pairs(tmp_path)
    write_sample(tmp_path / "more", 2, 300)
    (block,) = [b for kind, b in BLOCK.findall((DOCS / "low-resource.md").read_text()) if kind == "yaml"][:1]
    settings = yaml.safe_load(block)
    for ours, lang in (("qaa", "de"), ("qab", "en")):
        (tmp_path / f"news.{lang}").write_text((tmp_path / f"more/train.{ours}").read_text())
        for split in ("dev", "test"):
            lines = (tmp_path / f"sample/{split}.{ours}").read_text().splitlines(keepends=True)[:20]
            (tmp_path / f"{split}.{lang}").write_text("".join(lines))
    text = (tmp_path / "train.de").read_text().split()
    other = (tmp_path / "train.en").read_text().split()
    (tmp_path / "de-en.txt").write_text("".join(f"{a} {b}\n" for a, b in sorted(set(zip(text, other, strict=False)))))
    given = yaml.safe_dump(settings).replace("news.de.gz", "news.de").replace("news.en.gz", "news.en")
    # The sample is in no language that anybody would know for German.
    settings = yaml.safe_load(given.replace("lang: de", "lang: qaa").replace("lang: en", "lang: qab"))
    settings["data"] |= {"source_lang": "qaa", "target_lang": "qab", "tgt": "train.en"}
    settings["data"] |= {f"{split}_{side}": f"{split}.{lang}" for split in ("dev", "test")
                         for side, lang in (("src", "de"), ("tgt", "en"))}  # fmt: skip
    (tmp_path / "my.yaml").write_text(yaml.safe_dump(settings))
    small = {**SHORT, "arms": ["baseline", "wbt", "lexicon_only"], "data": {"test_overlap": "drop"}}
    small["backbone"] = {**SHORT["backbone"], "pieces": 300}
    page = (DOCS / "low-resource.md").read_text()
    assert "\ncsr run my.yaml" in page
    assert "\ncsr curve my.yaml --sizes " in page
    fewer = small | {"arms": ["baseline"], "lexicon": {"sources": [{"method": "ibm1"}]}}
    for command, changes in (("run my.yaml", small), ("curve my.yaml --sizes 60 --out runs/curve", fewer)):
        arguments = [*command.split(), *flat(changes), "--cores", "1"]
        done = subprocess.run(
            [sys.executable, "-m", "csr.cli", *arguments], cwd=tmp_path, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr[-3000:]
    assert "Word-for-word" in (tmp_path / "runs/my/table.md").read_text()
    assert (tmp_path / "runs/curve/curve.svg").is_file()


def test_the_collator_in_a_trainer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first Python block of the page, with a small NLLB of random weights in place of the published one."""
    import transformers
    from hf_models import DE, EN, make_tokenizer, write_lexicon

    monkeypatch.chdir(tmp_path)
    tokenizer = make_tokenizer("nllb", tmp_path / "nllb")
    config = transformers.M2M100Config(
        vocab_size=len(tokenizer), d_model=16, encoder_layers=1, decoder_layers=1, encoder_ffn_dim=16,
        decoder_ffn_dim=16, encoder_attention_heads=2, decoder_attention_heads=2, max_position_embeddings=64,
    )  # fmt: skip
    transformers.M2M100ForConditionalGeneration(config).save_pretrained(tmp_path / "nllb")
    write_lexicon(tmp_path / "de-en.tsv", languages=("de", "en"))
    page = (DOCS / "hugging-face.md").read_text()
    block = re.search(r"^```python\n(.*?)^```", page, re.DOTALL | re.MULTILINE)[1]
    block = block.replace("facebook/nllb-200-distilled-600M", "nllb").replace("}}, ...]", "}}]")
    block = block.replace("label_smoothing_factor=0.2", "label_smoothing_factor=0.2, max_steps=2, use_cpu=True")
    exec(compile(block, "hugging-face.md", "exec"), {})
    (tmp_path / "train.de").write_text("".join(f"{line}\n" for line in DE))
    command = re.search(r"`(csr switch --lexicon de-en.tsv [^`]*)`", page)[1]
    subprocess.run(["bash", "-c", command.replace("csr ", f"{sys.executable} -m csr.cli ", 1)], check=True)
    switched = (tmp_path / "train.switched.de").read_text().splitlines()
    assert len(switched) == len(DE)
    assert switched != DE
    assert len(EN) == len(DE)
