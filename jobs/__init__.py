"""How the work is spread: configuration, corpus, selection, extraction, tasks, plan and the Ray driver."""
