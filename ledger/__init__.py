"""The ledger: the only truth. It owns events, the log, its proofs and the ways to read and follow it.

It imports nothing of ours. Start reading at `envelope.py` (what an event is), then `store.py` (append and read),
then `postgres/append.py` (the one append path).
"""
