# Steps that the kinds of experiment share; the file that includes this one defines CONFIG and KIND, its module.

from csr.running.fairseq import identity
from csr.running.rules import STEP, files, flags
from csr.experiments.translation import stage_folder, trained_folders


rule report:
    input:
        expand("seed-{seed}/{arm}/scores.json", seed=CONFIG.seeds, arm=CONFIG.arms),
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


rule train:
    input:
        lambda wildcards: files(*KIND.stage_inputs(CONFIG, wildcards.stage, int(wildcards.seed))),
    output:
        "seed-{seed}/{stage}/model.pt",
        "seed-{seed}/{stage}/timing.json",
    params:
        label="{stage} seed {seed}",
        command=lambda wildcards: identity(KIND.train_command(CONFIG, wildcards.stage, int(wildcards.seed))),
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
        [str(file).replace("seed-0/ARM", "seed-{seed}/{arm}") for file in KIND.output_files(CONFIG, "ARM", 0)],
    params:
        label="generate {arm} seed {seed}",
        command=lambda wildcards: identity(KIND.generate_command(CONFIG, wildcards.arm, int(wildcards.seed))),
    threads: CONFIG.threads
    log:
        "logs/generate-{arm}-{seed}.log",
    shell:
        "{STEP} {params.label:q} {log:q} generate . --arm {wildcards.arm} --seed {wildcards.seed}"


rule score:
    input:
        lambda wildcards: files(*KIND.output_files(CONFIG, wildcards.arm, int(wildcards.seed))),
        lambda wildcards: files(*(folder / "timing.json" for folder in trained_folders(CONFIG, wildcards.arm, int(wildcards.seed)))),
    output:
        "seed-{seed}/{arm}/scores.json",
    params:
        label="score {arm} seed {seed}",
    log:
        "logs/score-{arm}-{seed}.log",
    shell:
        "{STEP} {params.label:q} {log:q} score . --arm {wildcards.arm} --seed {wildcards.seed}"


if getattr(CONFIG.backbone, "texts", ()):

    rule texts:
        input:
            files(*(text.file for text in CONFIG.backbone.texts)),
        output:
            "texts/prepare.json",
            "texts/spm.model",
            "texts/dict.txt",
        params:
            label="prepare texts",
            flags=CONFIG.backbone.text_flags(),
        log:
            "logs/texts.log",
        shell:
            "{STEP} {params.label:q} {log:q} prepare-text --out texts {params.flags:q}"
