"""Ways to make a lexicon: embeddings and their mapping, IBM Model 1, published dictionaries."""
