# The steps of an experiment in pretraining: each calls one csr command and names the settings and files it depends on.
# Paths lie within the run folder; `config` is RUN/config.yaml.

from csr.settings import build
from csr.running.fairseq import identity
from csr.experiments.pretraining import Config, finetunings, lexicon_file, tasks, train_command
from csr.running.rules import STEP, files, flags

CONFIG = build(config, Config)
DATA, LEXICON = CONFIG.data, CONFIG.lexicon
SRC, TGT = DATA.source_lang, DATA.target_lang
RUNS = {str(run.folder): run for run in finetunings(CONFIG)}
TASKS = tasks(CONFIG)
MODEL_FLAGS = f"--data data/bin --sentencepiece-model {DATA.model}"


wildcard_constraints:
    seed=r"\d+",
    run=r"\d+",
    arm="none|ibm|muse",
    task="nli|ner",


def settings_of(wildcards):
    """Return the flags of a fine-tuning."""
    run = RUNS[f"seed-{wildcards.seed}/{wildcards.arm}/{wildcards.task}/{wildcards.grid}/run-{wildcards.run}"]
    types = ",".join(TASKS[run.task].types) if run.task == "ner" else None
    return flags(**vars(run.settings), types=types, seed=run.run)


def tests_of(wildcards):
    """Return the test sets of a task, and the dev set in the language of training."""
    task = TASKS[wildcards.task]
    return flags(outside=",".join(dict.fromkeys(name for test in task.tests for name in test.outside)) or None) + [
        "--test", f"dev:{SRC}={task.dev}", *(f"{test.language}={test.file}" for test in task.tests)
    ]


rule report:
    input:
        expand("seed-{seed}/{arm}/accuracy.json", seed=CONFIG.seeds, arm=CONFIG.arms),
        [f"{folder}/scores.json" for folder in RUNS],
    output:
        "report.html",
        "table.md",
        "results.json",
    params:
        label="report",
        notes=list(CONFIG.notes),
    log:
        "logs/report.log",
    shell:
        "{STEP} {params.label:q} {log:q} report ."


rule mixture:
    input:
        files(*DATA.source, *DATA.target),
    output:
        "data/mixture.json",
        str(DATA.model),
        "data/bin/dict.txt",
    params:
        label="mixture",
        flags=["--text", SRC, DATA.source_bytes, *files(*DATA.source), "--text", TGT, DATA.target_bytes, *files(*DATA.target)]
        + flags(
            held_out=DATA.held_out, deduplicate=DATA.deduplicate, pieces=DATA.pieces,
            vocabulary_bytes=DATA.vocabulary_bytes,
        )
        + ["--wordpiece"] * DATA.wordpiece,
    log:
        "logs/mixture.log",
    shell:
        "{STEP} {params.label:q} {log:q} mixture --out data {params.flags:q}"


rule lexicon_ibm:
    input:
        files(LEXICON.ibm_src, LEXICON.ibm_tgt),
    output:
        "lexicon/ibm.tsv",
    params:
        label="lexicon ibm",
        iterations=LEXICON.iterations,
    log:
        "logs/lexicon-ibm.log",
    shell:
        "{STEP} {params.label:q} {log:q} lexicon ibm1 --src {input[0]:q} --tgt {input[1]:q}"
        " --source-lang {SRC:q} --target-lang {TGT:q} --iterations {params.iterations} --out {output:q}"


rule lexicon_muse:
    input:
        files(LEXICON.muse),
    output:
        "lexicon/muse.tsv",
    params:
        label="lexicon muse",
    log:
        "logs/lexicon-muse.log",
    shell:
        "{STEP} {params.label:q} {log:q} lexicon muse {input:q} --out {output:q}"


rule pretrain:
    input:
        "data/mixture.json",
        str(DATA.model),
        lambda wildcards: files(lexicon_file(wildcards.arm)),
    output:
        "seed-{seed}/{arm}/model.pt",
        "seed-{seed}/{arm}/timing.json",
    params:
        label="{arm} seed {seed}",
        command=lambda wildcards: identity(train_command(CONFIG, wildcards.arm, int(wildcards.seed))),
    threads: CONFIG.threads
    log:
        "logs/{arm}-{seed}.log",
    shell:
        "{STEP} {params.label:q} {log:q} train . --stage {wildcards.arm} --seed {wildcards.seed}"


rule accuracy:
    input:
        "seed-{seed}/{arm}/model.pt",
        "data/mixture.json",
    output:
        "seed-{seed}/{arm}/accuracy.json",
    params:
        label="masked pieces {arm} seed {seed}",
    threads: CONFIG.threads
    log:
        "logs/accuracy-{arm}-{seed}.log",
    shell:
        "{STEP} {params.label:q} {log:q} zero-shot masked --checkpoint {input[0]:q} --data data/bin"
        " --languages {SRC},{TGT} --out {output:q}"


# The model goes once it is scored: a grid with ten seeds would fill a disk.
rule finetune:
    input:
        "seed-{seed}/{arm}/model.pt",
        lambda wildcards: files(TASKS[wildcards.task].train),
    output:
        temp("seed-{seed}/{arm}/{task}/{grid}/run-{run}/model.pt"),
    params:
        label="{task} {arm} {grid} seed {seed} run {run}",
        flags=settings_of,
    threads: CONFIG.threads
    log:
        "logs/{task}-{arm}-{grid}-{seed}-{run}.log",
    shell:
        "{STEP} {params.label:q} {log:q} zero-shot finetune {wildcards.task} --checkpoint {input[0]:q} {MODEL_FLAGS}"
        " --train {input[1]:q} --out seed-{wildcards.seed}/{wildcards.arm}/{wildcards.task}/{wildcards.grid}/run-{wildcards.run}"
        " --threads {threads} {params.flags:q}"


rule evaluate:
    input:
        "seed-{seed}/{arm}/{task}/{grid}/run-{run}/model.pt",
        lambda wildcards: files(TASKS[wildcards.task].dev, *(test.file for test in TASKS[wildcards.task].tests)),
    output:
        "seed-{seed}/{arm}/{task}/{grid}/run-{run}/scores.json",
    params:
        label="score {task} {arm} {grid} seed {seed} run {run}",
        flags=tests_of,
    threads: CONFIG.threads
    log:
        "logs/score-{task}-{arm}-{grid}-{seed}-{run}.log",
    shell:
        "{STEP} {params.label:q} {log:q} zero-shot evaluate --checkpoint {input[0]:q} {MODEL_FLAGS} --discard-model"
        " --out seed-{wildcards.seed}/{wildcards.arm}/{wildcards.task}/{wildcards.grid}/run-{wildcards.run} {params.flags:q}"
