"""What stands for a sentence where distances between languages are measured.

Zan et al., section 6.1: "e_i is the output on the last token from the decoder". The decoder reads the sentence that
the encoder was given. Where it reads the last piece it has seen all of it and is to write ``</s>``, in any language,
and in mBART-cc25's order of ids as in mBART-50's: the default. In mBART-cc25's order it reads ``</s>`` too, and is to
write the language id there, which tells the languages apart by itself; mBART-50's decoder never reads it.
"""

FEATURES = {
    "last_piece": "decoder output at the last piece",
    "eos": "decoder output at </s>",
    "encoder": "mean of the encoder output",
}
DEFAULT = "last_piece"
