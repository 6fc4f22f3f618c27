"""`everline demo`: a real pipeline on real data, a mistake, and the ledger that undoes it.

Uses the SDK and the HTTP API like any user. `digits.py` is the pipeline, worth reading as an example; `acts.py` is what
is done, `story.py` what the ledger says about it, `screen.py` how that looks, `system.py` the system it all runs on.
"""
