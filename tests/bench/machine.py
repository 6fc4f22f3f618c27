"""On what the figures were taken: processors, the disk's flush, PostgreSQL and its settings."""

from __future__ import annotations

import os
import platform
import statistics
import time
from pathlib import Path

import psycopg

from runners.embedded import OWNER
from tests.bench.stand import Stand

FLUSHES = 200
BLOCK = b"\x00" * 8192
SETTINGS = (
    *("fsync", "synchronous_commit", "full_page_writes", "wal_level", "wal_compression", "wal_buffers"),
    *("shared_buffers", "max_wal_size", "checkpoint_timeout", "commit_delay", "io_method"),
)


def facts(stand: Stand) -> dict[str, str]:
    """For the head of the report."""
    with psycopg.connect(stand.postgres.cluster.dsn(OWNER, "postgres")) as connection:
        settings = [f"{name}={connection.execute(f'SHOW {name}'.encode()).fetchone()[0]}" for name in SETTINGS]  # type: ignore[index]
        (version,) = connection.execute("SHOW server_version").fetchone() or ("",)
    load = ", ".join(f"{value:.1f}" for value in os.getloadavg())
    return {
        "machine": f"{os.cpu_count()} cores, {_processor()}, load {load}, Python {platform.python_version()}",
        "disk": f"a block of 8 KiB written and flushed (fdatasync) in {flush_us(stand.root):.0f} us, median",
        "PostgreSQL": f"{version}, {' '.join(settings)}",
    }


def flush_us(directory: Path) -> float:
    """Median time of one durable write below a directory."""
    times: list[float] = []
    path = directory / "flushed"
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT, 0o600)
    try:
        for number in range(FLUSHES):
            started = time.perf_counter()
            os.pwrite(descriptor, BLOCK, number % 16 * len(BLOCK))
            os.fdatasync(descriptor)
            times.append(time.perf_counter() - started)
    finally:
        os.close(descriptor)
        path.unlink()
    return statistics.median(times) * 1e6


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor() or "unknown processor"
