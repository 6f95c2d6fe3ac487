# The lexicons of a language pair; the file that includes this one defines LEXICON, its settings, SRC and TGT, the
# languages, and FORWARD and BACKWARD, the files.

if LEXICON.method == "file":
    GIVEN = {FORWARD: LEXICON.forward, BACKWARD: LEXICON.backward}

    rule lexicon:
        input:
            lambda wildcards: files(GIVEN[f"lexicon/{wildcards.pair}.tsv"]),
        output:
            "lexicon/{pair}.tsv",
        params:
            label="lexicon {pair}",
        log:
            "logs/lexicon-{pair}.log",
        shell:
            "{STEP} {params.label:q} {log:q} lexicon import {input:q} --out {output:q}"

else:

    rule lexicon:
        input:
            f"data/text/train.{SRC}",
            f"data/text/train.{TGT}",
        output:
            FORWARD,
            BACKWARD,
        params:
            label=f"lexicon {LEXICON.method}",
            flags=flags(iterations=LEXICON.iterations) if LEXICON.method == "ibm1" else flags(
                dim=LEXICON.dim, window=LEXICON.window, min_count=LEXICON.min_count, epochs=LEXICON.epochs
            ),
        log:
            "logs/lexicon.log",
        shell:
            "{STEP} {params.label:q} {log:q} lexicon {LEXICON.method} --src {input[0]:q} --tgt {input[1]:q}"
            " --source-lang {SRC:q} --target-lang {TGT:q}"
            " --out {output[0]:q} --reverse-out {output[1]:q} {params.flags:q}"
