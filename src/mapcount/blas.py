"""The threads of numpy's linear algebra, which nothing here uses."""

from __future__ import annotations

import os


def start_no_blas_threads() -> None:
    """
    Let OpenBLAS start no threads. For programs, before numpy is imported; a library leaves that to its user.

    It starts one per CPU when numpy is imported, and each looks for work for some 25 ms before it sleeps: on two CPUs a third
    of what starting Python and numpy costs. What the environment says already stays.
    """
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
