"""Selectors: which runs a person means, of a store or of a file, and what they hold."""
