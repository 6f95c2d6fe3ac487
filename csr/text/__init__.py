"""One door for text: words, segmenters, and how lines are read and written."""
