# The steps of a translation experiment: each calls one csr command and names the settings and files it depends on.
# Paths lie within the run folder; `config` is RUN/config.yaml.

from csr.experiments.settings import Config
from csr.settings import build
from csr.running.fairseq import identity
from csr.running.rules import STEP, files, flags
from csr.experiments.translation import (
    generate_command,
    lexicon_files,
    measured_stages,
    stage_inputs,
    train_command,
    trained_folders,
)

CONFIG = build(config, Config)
DATA, LEXICON = CONFIG.data, CONFIG.lexicon
SRC, TGT = DATA.source_lang, DATA.target_lang
FORWARD, BACKWARD = map(str, lexicon_files(CONFIG))
# The backbone's own distance is worth a line only where it is trained here and used.
PRETRAINS = not CONFIG.backbone.checkpoint and CONFIG.arms != ("random",)


rule report:
    input:
        expand("seed-{seed}/{arm}/scores.json", seed=CONFIG.seeds, arm=CONFIG.arms),
        expand("seed-{seed}/backbone/distance.json", seed=CONFIG.seeds if PRETRAINS else []),
        expand("seed-{seed}/{stage}/dynamics.json", seed=CONFIG.seeds, stage=measured_stages(CONFIG)),
    output:
        "report.html",
        "table.md",
        "results.json",
    params:
        label="report",
    log:
        "logs/report.log",
    shell:
        "{STEP} {params.label:q} {log:q} report ."


rule prepare:
    input:
        files(DATA.src, DATA.tgt, DATA.dev_src, DATA.dev_tgt, DATA.test_src, DATA.test_tgt),
        files(CONFIG.backbone.dictionary, CONFIG.backbone.sentencepiece),
    output:
        "data/prepare.json",
        "data/spm.model",
        expand("data/text/{split}.{lang}", split=["train", "dev", "test"], lang=[SRC, TGT]),
    params:
        label="prepare",
        flags=flags(
            src=DATA.src, tgt=DATA.tgt, source_lang=SRC, target_lang=TGT, pieces=DATA.pieces,
            max_words=DATA.max_words, max_ratio=DATA.max_ratio, langs=",".join(CONFIG.langs),
            dev_src=DATA.dev_src, dev_tgt=DATA.dev_tgt, dev_size=None if DATA.dev_src else DATA.dev_size,
            test_src=DATA.test_src, test_tgt=DATA.test_tgt, test_size=None if DATA.test_src else DATA.test_size,
            sentencepiece_model=CONFIG.backbone.sentencepiece, dict=CONFIG.backbone.dictionary,
        ),
    log:
        "logs/prepare.log",
    shell:
        "{STEP} {params.label:q} {log:q} prepare --out data {params.flags:q}"


rule train:
    input:
        lambda wildcards: files(*stage_inputs(CONFIG, wildcards.stage, int(wildcards.seed))),
    output:
        "seed-{seed}/{stage}/model.pt",
        "seed-{seed}/{stage}/timing.json",
    params:
        label="{stage} seed {seed}",
        command=lambda wildcards: identity(train_command(CONFIG, wildcards.stage, int(wildcards.seed))),
    threads: CONFIG.threads
    log:
        "logs/{stage}-{seed}.log",
    shell:
        "{STEP} {params.label:q} {log:q} train . --stage {wildcards.stage} --seed {wildcards.seed}"


rule generate:
    input:
        "seed-{seed}/{arm}/model.pt",
        "data/prepare.json",
    output:
        "seed-{seed}/{arm}/test.hyp",
    params:
        label="generate {arm} seed {seed}",
        command=lambda wildcards: identity(generate_command(CONFIG, wildcards.arm, int(wildcards.seed))),
    threads: CONFIG.threads
    log:
        "logs/generate-{arm}-{seed}.log",
    shell:
        "{STEP} {params.label:q} {log:q} generate . --arm {wildcards.arm} --seed {wildcards.seed}"


rule score:
    input:
        "seed-{seed}/{arm}/test.hyp",
        "seed-{seed}/{arm}/distance.json",
        "data/prepare.json",
        lambda wildcards: files(*(folder / "timing.json" for folder in trained_folders(CONFIG, wildcards.arm, int(wildcards.seed)))),
    output:
        "seed-{seed}/{arm}/scores.json",
    params:
        label="score {arm} seed {seed}",
        comet=CONFIG.scores.comet or "",
    log:
        "logs/score-{arm}-{seed}.log",
    shell:
        "{STEP} {params.label:q} {log:q} score . --arm {wildcards.arm} --seed {wildcards.seed}"


rule distance:
    input:
        "seed-{seed}/{stage}/model.pt",
        "data/prepare.json",
    output:
        "seed-{seed}/{stage}/distance.json",
    params:
        label="distance {stage} seed {seed}",
        flags=flags(sentences=CONFIG.distance.sentences),
    log:
        "logs/distance-{stage}-{seed}.log",
    shell:
        "{STEP} {params.label:q} {log:q}"
        " distance --checkpoint {input[0]:q} --data data/bin --out {output:q} {params.flags:q}"


rule dynamics:
    input:
        "seed-{seed}/{stage}/model.pt",
        "data/prepare.json",
    output:
        "seed-{seed}/{stage}/dynamics.json",
    params:
        label="dynamics {stage} seed {seed}",
        flags=flags(sentences=CONFIG.dynamics.sentences, beam=CONFIG.generate.beam),
    log:
        "logs/dynamics-{stage}-{seed}.log",
    shell:
        "{STEP} {params.label:q} {log:q} dynamics seed-{wildcards.seed}/{wildcards.stage} {params.flags:q}"


include: "lexicon.smk"
