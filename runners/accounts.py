"""Who a program runs as: PostgreSQL refuses root, so a root supervisor starts it as an unprivileged account.

Nothing on the disk is opened up for that account: it keeps the one capability that lets it reach
its programs and its data below directories such as /root, and no other.
"""

from __future__ import annotations

import ctypes
import os
import pwd
import signal
import sys
from collections.abc import Callable
from dataclasses import dataclass

from runners.errors import NoUnprivilegedAccount

UNPRIVILEGED = "nobody"

_PR_SET_PDEATHSIG, _PR_SET_SECUREBITS, _PR_CAP_AMBIENT = 1, 28, 47
_SECBIT_NO_SETUID_FIXUP = 1 << 2
_PR_CAP_AMBIENT_RAISE = 2
_CAP_DAC_OVERRIDE = 1
_CAPABILITY_VERSION_3 = 0x20080522

_libc = ctypes.CDLL(None)


@dataclass(frozen=True)
class Account:
    """A user and group to run a program as."""

    uid: int
    gid: int


def unprivileged_account() -> Account | None:
    """Who PostgreSQL runs as: nobody in particular (None) unless we are root."""
    if os.geteuid() != 0:
        return None
    try:
        entry = pwd.getpwnam(UNPRIVILEGED)
    except KeyError:
        raise NoUnprivilegedAccount(UNPRIVILEGED) from None
    return Account(entry.pw_uid, entry.pw_gid)


def before_exec(account: Account | None, death_signal: signal.Signals | None) -> Callable[[], None]:
    """What a child does between fork and exec: become `account`, and ask for `death_signal` when we die.

    Safe only in a single-threaded parent, which the supervisor is.
    """
    parent = os.getpid()

    def prepare() -> None:
        if account is not None:
            _become(account)
        if death_signal is not None and sys.platform == "linux":
            # After the change of user, which resets it.
            _prctl(_PR_SET_PDEATHSIG, death_signal)
            if os.getppid() != parent:
                os._exit(1)  # the parent died before it was asked for

    return prepare


def _become(account: Account) -> None:
    # Both capability calls are refused where a container was stripped of what they ask for. The program then
    # does without; where it cannot reach its files, its own log says so.
    if sys.platform == "linux":
        # Without this bit the kernel drops all capabilities on the way, and access(2) ignores the one kept.
        _prctl(_PR_SET_SECUREBITS, _SECBIT_NO_SETUID_FIXUP)
    os.setgroups([])
    os.setresgid(account.gid, account.gid, account.gid)
    os.setresuid(account.uid, account.uid, account.uid)
    if sys.platform == "linux":
        _keep_only(_CAP_DAC_OVERRIDE)


def _keep_only(capability: int) -> None:
    """Drop every capability but one, and let that one survive exec (capabilities(7), ambient set)."""
    header = (ctypes.c_uint32 * 2)(_CAPABILITY_VERSION_3, 0)
    bit = 1 << capability
    # effective, permitted, inheritable for capabilities 0-31, then the same for 32-63
    if _libc.capset(header, (ctypes.c_uint32 * 6)(bit, bit, bit, 0, 0, 0)) == 0:
        _prctl(_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_RAISE, capability)
    else:
        _libc.capset(header, (ctypes.c_uint32 * 6)())


def _prctl(option: int, *arguments: int) -> None:
    words = [ctypes.c_ulong(argument) for argument in (*arguments, 0, 0, 0, 0)[:4]]
    _libc.prctl(option, *words)
