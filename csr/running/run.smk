# The rules of a run: one for each of its steps, which csr.running.steps describes.
# Snakemake's configuration is RUN/steps.json; csr run writes it and starts this.

import sys

from csr.running.steps import STEP, from_config

# Snakemake would import pandas, a fifth of its time in a finished run, to see whether a parameter is a table. None is.
sys.modules.setdefault("pandas", None)

for step in reversed(from_config(config)):  # the first rule, which Snakemake begins with, is that of the last step

    rule:
        name:
            step.name
        input:
            step.inputs,
        output:
            [temp(file) for file in step.outputs] if step.temporary else step.outputs,
        params:
            label=step.name,
            command=lambda wildcards, command=step.command: command,
            settings=lambda wildcards, settings=step.settings: settings,
        threads: step.threads
        resources:
            gpu=step.gpus,  # the name that executors know
        log:
            step.log,
        shell:
            "{STEP} {resources.gpu} {params.label:q} {log:q} {params.command:q}"
