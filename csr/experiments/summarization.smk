# The steps of a summarisation experiment; paths lie within the run folder, `config` is RUN/config.yaml.

import csr.experiments.summarization as KIND
from csr.settings import build

CONFIG = build(config, KIND.Config)
DATA, LEXICON = CONFIG.data, CONFIG.lexicon
SRC, TGT = DATA.source_lang, DATA.target_lang
FORWARD, BACKWARD = map(str, KIND.translation.lexicon_files(CONFIG))


include: "stages.smk"
include: "lexicon.smk"


rule prepare:
    input:
        files(DATA.train, DATA.dev, DATA.test, CONFIG.backbone.dictionary, CONFIG.backbone.sentencepiece),
    output:
        "data/prepare.json",
        "data/spm.model",
        expand(
            "data/text/{split}.{lang}", split=["train", "dev", "test"], lang=[SRC, TGT]
        ),
    params:
        label="prepare",
        flags=flags(
            train=DATA.train, dev=DATA.dev, test=DATA.test, dev_size=None if DATA.dev else DATA.dev_size,
            test_size=None if DATA.test else DATA.test_size, source_lang=SRC,
            target_lang=TGT, document_words=DATA.document_words, summary_words=DATA.summary_words,
            pieces=DATA.pieces, langs=",".join(CONFIG.langs),
            sentencepiece_model=CONFIG.backbone.sentencepiece, dict=CONFIG.backbone.dictionary,
        ),
    log:
        "logs/prepare.log",
    shell:
        "{STEP} {params.label:q} {log:q} prepare-summaries --out data {params.flags:q}"
