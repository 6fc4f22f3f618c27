"""Old positions in an object store: Parquet files that anybody can query, with the proof that they are the ledger's.

An archive is a contiguous range of one workspace's positions that left `ledger.events`. Readers do not notice: what
PostgreSQL has no longer is read from the archive (`reading.py`). Start reading at `manifest.py`.
"""
