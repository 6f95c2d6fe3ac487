"""Switching: which words of a sentence are replaced, and by what; in text and on encoded data."""
