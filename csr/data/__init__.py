"""From raw corpora to clean, encoded files."""
