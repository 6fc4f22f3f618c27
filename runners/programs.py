"""The programs that run for long or before everything else: `python -P -m runners.programs relay | projector | ...`.

They take no options, their settings are `EVERLINE_*` variables: so they start without the libraries that a command
line needs, which cost each of them 10 MB and 0.2 s of CPU. The operator's commands (`__main__.py`) offer them too.
"""

from __future__ import annotations

import os
import sys

from msgspec import ValidationError

from ledger.errors import KeyUnusable
from ledger.unloaded import leave_unloaded
from runners.errors import RunnerError, SettingsInvalid
from runners.settings import MigrationSettings, SealerSettings, Settings, WorkerSettings, read_settings


def migrate() -> None:
    """Bring the databases at EVERLINE_OWNER_DSN and EVERLINE_OWNER_DSNS to this program's schema."""
    leave_unloaded()
    from runners.migration import migrate_all

    told = settings(MigrationSettings)
    migrate_all(told.aliases())
    if told.keys is not None:
        from runners.master_key import ensure_master_key

        ensure_master_key(told.keys, told.owner_dsn)


def prepare() -> None:
    """Migrate, then make the default workspace and its stack."""
    migrate()
    import asyncio

    from runners.bootstrap import bootstrap

    asyncio.run(bootstrap(settings(WorkerSettings)))


def relay() -> None:
    """Carry events from the ledger to NATS."""
    leave_unloaded()
    from runners import relay as program

    program.main(settings(WorkerSettings))


def projector() -> None:
    """Keep the query tables up with the ledger."""
    leave_unloaded()
    from runners import projector as program

    program.main(settings(WorkerSettings))


def sealer() -> None:
    """Sign a checkpoint of every ledger that moved, about once a second."""
    leave_unloaded()
    from runners import sealer as program

    program.main(settings(SealerSettings))


PROGRAMS = {program.__name__: program for program in (migrate, prepare, relay, projector, sealer)}


def settings(program: type[Settings]) -> Settings:
    """What a program is told. Raises SettingsInvalid, which names the variable, when that is missing or wrong."""
    try:
        return read_settings(program, os.environ)
    except ValidationError as error:
        raise SettingsInvalid(str(error)) from None


def main() -> None:
    """Run the named program; an error that we know is one line and an exit status, not a traceback."""
    try:
        PROGRAMS[sys.argv[1]]()
    except (RunnerError, KeyUnusable) as error:
        print(f"error: {error} [{error.code}]", file=sys.stderr)
        sys.exit(error.exit_status if isinstance(error, RunnerError) else RunnerError.exit_status)


if __name__ == "__main__":
    main()
