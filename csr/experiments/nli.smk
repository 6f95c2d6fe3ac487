# The steps of an inference experiment; paths lie within the run folder, `config` is RUN/config.yaml.

import csr.experiments.nli as KIND
from csr.settings import build

CONFIG = build(config, KIND.Config)
DATA = CONFIG.data
SENTENCEPIECE, DICTIONARY = map(str, CONFIG.backbone.vocabulary())
DICTIONARIES = {f"lexicon/{DATA.lang}-{text.lang}.tsv": text.file for text in CONFIG.lexicons.files}


include: "stages.smk"


rule prepare:
    input:
        files(DATA.train, DATA.dev, *(test.file for test in DATA.tests), SENTENCEPIECE, DICTIONARY),
    output:
        "data/prepare.json",
        "data/spm.model",
    params:
        label="prepare",
        flags=flags(
            train=DATA.train, dev=DATA.dev, lang=DATA.lang, langs=",".join(CONFIG.backbone.languages),
            sentencepiece_model=SENTENCEPIECE, dict=DICTIONARY,
        ) + [part for test in DATA.tests for part in ("--test", f"{test.lang}={test.file}")],
    log:
        "logs/prepare.log",
    shell:
        "{STEP} {params.label:q} {log:q} prepare-nli --out data {params.flags:q}"


rule lexicon:
    input:
        lambda wildcards: files(DICTIONARIES[f"lexicon/{wildcards.pair}.tsv"]),
    output:
        "lexicon/{pair}.tsv",
    params:
        label="lexicon {pair}",
    log:
        "logs/lexicon-{pair}.log",
    shell:
        "{STEP} {params.label:q} {log:q} lexicon muse {input:q} --out {output:q}"
