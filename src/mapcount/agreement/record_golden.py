"""Records the golden traces of kernel images: `python -m mapcount.agreement.record_golden OUT [IMAGE...]`, or `make record`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from mapcount.agreement.golden import record, save
from mapcount.errors import MapcountError
from mapcount.kernels.guest_backend import GuestBackend
from mapcount.kernels.images import find_image
from mapcount.scenarios.library import load_all
from mapcount.scenarios.walks import PROFILES, walk_scenario

if TYPE_CHECKING:
    from mapcount.scenarios.scenario import Scenario

IMAGES = ("5.10", "6.1", "6.12", "6.16", "6.18", "7.0", "7.3", "7.3-no-page-mapcount")
SEEDS = (7, 11)
WALK_STEPS = 100


def scenarios() -> list[Scenario]:
    """Return all that is recorded: the library, and walks of every profile."""
    return [*load_all(), *(walk_scenario(profile, seed, WALK_STEPS) for profile in PROFILES for seed in SEEDS)]


def main(arguments: list[str]) -> int:
    """Record each image into OUT/NAME.trace; say on stderr what came of it."""
    out = Path(arguments[0])
    for name in arguments[1:] or IMAGES:
        try:
            image = find_image(name)
            with GuestBackend(image) as backend:
                trace = record(backend, scenarios(), image_sha256=image.sha256)
        except MapcountError as error:
            sys.stderr.write(f"{name}: {error}\n")
            continue
        save(trace, out / f"{name}.trace")
        steps = sum(len(one.observations) for one in trace.recorded)
        sys.stderr.write(f"{name}: {trace.kernel}, {len(trace.recorded)} scenarios, {steps} steps\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
