"""`make bench`: every measurement of one run, on servers of its own below a temporary directory."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from pathlib import Path

from tests.bench import appends, http, sdk
from tests.bench.report import Row, print_report
from tests.support.installations import Everline
from tests.support.servers import postgres_in


def main() -> None:
    root = Path(tempfile.mkdtemp(prefix="everline-bench-"))
    try:
        rows = store_rows(root / "store")
        bare = next(row.value for row in rows if row.name == "bare insert, autocommit, 16 conn")
        rows += system_rows(root / "system", bare_per_second=bare)
    finally:
        shutil.rmtree(root)
    print_report(rows)


def store_rows(root: Path) -> list[Row]:
    """The ledger alone, in this process."""
    with postgres_in(root) as postgres:
        return asyncio.run(appends.measure(postgres.create_database()))


def system_rows(root: Path, *, bare_per_second: float) -> list[Row]:
    """Everything that `everline up` starts."""
    system = Everline(root)
    system.up()
    try:
        rows = asyncio.run(http.measure(system.url, bare_per_second=bare_per_second))
        return rows + sdk.measure(system.url)
    finally:
        system.down()


if __name__ == "__main__":
    main()
