"""What a snapshot says by itself: size, full/partial, exclusive/shared, waste; by process, cgroup, program and VMA."""

from mapcount.callable_package import make_callable

make_callable(__name__, "mapcount.survey.run")
