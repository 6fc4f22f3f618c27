"""Checking a ledger without trusting its server: the verifier that travels in every bundle, the writer of bundles, and
what this machine remembers of the checkpoints it has seen. Start reading at `verify.py`."""
