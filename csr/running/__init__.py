"""Running steps in a folder: Snakemake, fairseq processes, locks and progress; knows no experiment."""
