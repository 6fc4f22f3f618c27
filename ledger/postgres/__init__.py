"""The ledger on PostgreSQL: schema and migrations, the append path, reads. The only SQL that touches the log."""
