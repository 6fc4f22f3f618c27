"""Long-running programs: the embedded PostgreSQL and NATS with their supervisor, the relay and the projector.

May import `ledger`, `commands` and `projections`, never `gateway`. Start reading at `lifecycle.py`.
"""
