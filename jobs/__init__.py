"""How the work is spread: configuration, corpus, selection, extraction, tasks, plan and the Ray driver."""

import os

# torch's threads wait for each other by spinning, many milliseconds long. Where the model and the pair tasks share a
# machine's cores, a thread then burns the core that the one it waits for needs, and the forward pass takes two to
# three times as long. With a short spin a waiting thread sleeps. torch reads this when it is loaded, so it stands here.
os.environ.setdefault("GOMP_SPINCOUNT", "1000")
