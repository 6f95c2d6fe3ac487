"""The steps of an experiment as rules, and the embedded sample corpus."""
