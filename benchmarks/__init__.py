"""Each figure that the documentation claims, as a command: `python -m benchmarks.NAME`."""

import jobs  # noqa: F401  before torch: it settles how torch's threads wait, as in a run
