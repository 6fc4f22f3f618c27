"""The read side: query tables per workspace, computed from the ledger's events and nothing else.

It imports only `ledger`. Tables are disposable: a changed declaration is rebuilt from history and swapped in. Start
reading at `table.py` (what a table is), `stacks.py` (a small projection), `projector.py` (how events become rows),
then `query.py` (what can be asked).
"""
