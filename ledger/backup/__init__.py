"""What a backup of a ledger is made of: `tables.py` (what is kept, and how), `segment.py` (stretches of the log),
`manifest.py` (what belongs to one backup). Where it lies and who makes it is the runners' business."""
