"""One door for text: its normal form and case, words, sentences and languages; lines are read by ``csr.files``."""
