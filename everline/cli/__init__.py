"""The command line: noun then verb, over the SDK's client; data on stdout, everything else on stderr.

Imports nothing of the server's rooms. Start reading at `main.py`; `groups.py` lists every command and loads it only
when it is asked for, `nouns.py` is the table from which the reading verbs of each entity are made.
"""
