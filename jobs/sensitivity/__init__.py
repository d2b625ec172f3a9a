"""`interpunct sensitivity`: the first two classes of a study once more, under other choices and under controls."""
