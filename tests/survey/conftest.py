"""Random snapshots take their time on a busy machine: no deadline for a single example."""

from hypothesis import settings

settings.register_profile("survey", deadline=None)
settings.load_profile("survey")
