"""The event vocabulary, one file per aggregate: past-tense facts that are never deleted and never change meaning.

The folder is the registry: `registry.py` lists its files, and every other room looks for the same file names.
"""
