"""Backups and restores: what the operator's commands do with the ledger's segments (`ledger/backup/`).

Start reading at `making.py`, then `restoring.py`, which derives claims with the deciders of `commands`.
`wal_archive.py` is the other way to lose nothing.
"""
