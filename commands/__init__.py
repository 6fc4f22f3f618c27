"""The write side: may this be done, and which events follow. Imports only `ledger`.

Start reading at `command.py` (the vocabulary of deciders), then any decider such as `stack.py`, then `handler.py`,
which loads, decides and appends.
"""
