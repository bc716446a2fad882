"""The threads of numpy's linear algebra, which nothing here uses."""

from __future__ import annotations

import os


def start_no_blas_threads() -> None:
    """
    Let OpenBLAS start no threads. For programs, before numpy is imported; a library leaves that to its user.

    It starts them when numpy is imported, and they spin for a while before they sleep: measured on two CPUs, 0.05 to 0.1 s of
    CPU, a third of what starting Python and numpy costs. What the environment says already stays.
    """
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
