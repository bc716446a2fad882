"""What is measured: captures and surveys as the commands do, and says what each part cost this process.

Run as root, in one of three ways:
    python capture_survey.py [PID ...]               captures those processes (none: all), surveys, prints JSON
    python capture_survey.py --start-up              imports alone
    python capture_survey.py --for SECONDS PID ...   prints `ready` after a first capture, captures again and again (what
                                                     a victim is shown), prints how often
"""

from __future__ import annotations

import json
import resource
import sys
import time

from mapcount.blas import start_no_blas_threads

start_no_blas_threads()  # before numpy is imported, as mapcount.cli does

import mapcount  # noqa: E402
import mapcount.capture.session  # noqa: E402
import mapcount.survey.run  # noqa: E402


def cpu_s() -> float:
    """Return user and system seconds of this process, its threads included."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def once(pids: list[int]) -> dict[str, object]:
    """Capture and survey, timed apart. Imports are done; what is imported later counts as the part that asks for it."""
    begin = cpu_s()
    snapshot = mapcount.capture(pids=pids)
    captured = cpu_s()
    answers = mapcount.survey(snapshot)
    surveyed = cpu_s()
    large = [row for row in answers.sizes if row.kind == "anon"]
    return {
        "capture_cpu_s": captured - begin,
        "survey_cpu_s": surveyed - captured,
        "sizes": {
            row.order: [row.folios, row.partially_mapped, row.wasted_bytes // snapshot.meta.page_size] for row in large
        },
        "verdicts": snapshot.meta.verdicts,
        "partial": snapshot.meta.partial,
    }


def again_and_again(duration_s: float, pids: list[int]) -> dict[str, object]:
    """Capture for `duration_s` seconds without a pause, once everything is imported and warm."""
    mapcount.capture(pids=pids)
    print("ready", flush=True)
    captures = 0
    end = time.monotonic() + duration_s
    while time.monotonic() < end:
        mapcount.capture(pids=pids)
        captures += 1
    return {"captures": captures}


def main() -> None:
    """Do what the arguments say."""
    arguments = sys.argv[1:]
    if arguments[:1] == ["--start-up"]:
        return
    if arguments[:1] == ["--for"]:
        result = again_and_again(float(arguments[1]), [int(pid) for pid in arguments[2:]])
    else:
        result = once([int(pid) for pid in arguments])
    json.dump(result, sys.stdout)
    print()


if __name__ == "__main__":
    main()
