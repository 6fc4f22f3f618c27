"""Stored values: materializers turn a value into files and back, a store keeps the files, the ledger their hash.

Start reading at `materializer.py`; `storing.py` puts it together. A program's own types: `register_materializer`.
"""
