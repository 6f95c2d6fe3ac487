#!/usr/bin/env bash
# Does the switching do what it says on real text? For each language: a lexicon by IBM Model 1, figures of its side and
# of the English one over the first 3,000 pairs, drawn from the ten best of all words with T = 3, and five examples of
# the defaults. As Markdown on standard output.
#
#   scripts/switching_statistics.sh OUT LANGUAGE:TEXT:ENGLISH ...
#   scripts/switching_statistics.sh runs/statistics de:multi30k/train.de.gz:multi30k/train.en.gz
set -euo pipefail

out=${1:?expected a folder for the lexicons, then LANGUAGE:TEXT:ENGLISH ...}
shift
for corpus in "$@"; do
    IFS=: read -r language text english <<< "$corpus"
    folder="$out/$language"
    mkdir -p "$folder"
    csr lexicon ibm1 --src "$text" --tgt "$english" --source-lang "$language" --target-lang en \
        --out "$folder/$language-en.tsv" --reverse-out "$folder/en-$language.tsv" 2> "$folder/lexicon.log"
    gzip -cdf "$text" | sed -n 1,3000p > "$folder/text.$language"
    gzip -cdf "$english" | sed -n 1,3000p > "$folder/text.en"
    for side in "$language-en" "en-$language"; do
        own=${side%-*} other=${side#*-}
        [[ $own == "$language" ]] && place=source || place=target
        printf '\n### %s\n\n```\n' "$side"
        csr switch --lexicon "$folder/$side.tsv" --input "$folder/text.$own" --aligned "$folder/text.$other" \
            --language "$own" --aligned-language "$other" --side "$place" \
            --top-k 10 --temperature 3 --min-weight 0 --stop-words none --statistics 2>> "$folder/switch.log"
        printf '```\n'
    done
    printf '\n| %s | switched |\n| --- | --- |\n' "$language"
    csr switch --lexicon "$folder/$language-en.tsv" --input "$folder/text.$language" --language "$language" \
        --aligned-language en --side-by-side 2>> "$folder/switch.log" | sed -n '1,5s/\t/ | /p' | sed 's/.*/| & |/'
done
