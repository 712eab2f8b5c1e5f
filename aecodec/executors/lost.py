"""Say that a worker was lost."""

from __future__ import annotations


class WorkerLostError(Exception):
    """The worker that a call ran on has died, or is out of reach: the call may have done all, some or nothing."""
