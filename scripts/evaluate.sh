#!/usr/bin/env bash
# The scores of the papers' tables, from files of outputs and references with one sentence a line.
#
#   scripts/evaluate.sh translation HYP REF LANGUAGE [BASELINE]   BLEU, chrF, TER; significance (CSR, Tables 4 and 5)
#   scripts/evaluate.sh words HYP REF LANGUAGE TRAIN [BASELINE]   word F1 by training frequency (CSR, Figure 5, Table 9)
#   scripts/evaluate.sh summarization HYP REF [BASELINE]          ROUGE-1/2/L; significance (CSR, Table 6)
#   scripts/evaluate.sh nli HYP REF                               accuracy of labels (CSR, Table 7; CS-PT, Table 4)
#   scripts/evaluate.sh ner HYP REF                               entity F1, token<TAB>tag files (CS-PT, Table 5)
set -euo pipefail

[[ $# -ge 3 ]] || { sed -n '2,8s/^# \{0,1\}//p' "$0" >&2; exit 2; }
kind=$1 hyp=$2 ref=$3
shift 3

case $kind in
    translation)
        for metric in bleu chrf ter; do
            csr evaluate "$metric" --hyp "$hyp" --ref "$ref" --language "${1:?LANGUAGE is missing}" --samples 1000
        done
        [[ $# -lt 2 ]] || csr evaluate significance --hyp "$hyp" --ref "$ref" --language "$1" --baseline "$2"
        ;;
    words)
        csr evaluate words --hyp "$hyp" --ref "$ref" --language "${1:?LANGUAGE is missing}" --train "${2:?TRAIN is missing}" ${3:+--baseline "$3"}
        ;;
    summarization)
        csr evaluate rouge --hyp "$hyp" --ref "$ref"
        [[ $# -lt 1 ]] || csr evaluate significance --score rougeL --hyp "$hyp" --ref "$ref" --baseline "$1"
        ;;
    nli | ner)
        csr evaluate "$kind" --hyp "$hyp" --ref "$ref"
        ;;
    *)
        echo "evaluate.sh: expected translation, words, summarization, nli or ner, found '$kind'" >&2
        exit 2
        ;;
esac
