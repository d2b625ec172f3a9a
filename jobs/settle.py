"""Settles what a study leaves open, before anything is read: its labels, its passages and its batch size.

Here too, before any book costs time, is the place for mistakes that need the model's tokenizer to be seen.
"""

from __future__ import annotations

from jobs.config import RunConfig, StudyConfig
from jobs.marks.class_table import check_tokens_exist, check_vocabulary
from jobs.marks.labels import settle_labels
from jobs.marks.tokens import vocabulary_of
from jobs.model.batch_size import settle_batch_size, settle_passages
from jobs.model.encoder import beginning_of_text, load_encoder
from jobs.model.models import ModelIdentity
from store.study import Study


def settle(
    config: StudyConfig, run: RunConfig, identity: ModelIdentity, existing: Study | None
) -> tuple[StudyConfig, RunConfig]:
    """The study as it is recorded, and the run with the absolute path of its labels file.

    `existing`: the study of the store, where there is one; its batch size is taken, and what its first run has checked
    is not checked again. Raises UsageError for a labels file that is none, classes that claim one token, a class's
    token that is several to the model, `--bos yes` without such a token, and windows longer than the model's context.
    """
    config, run = settle_labels(config, run)
    config = settle_batch_size(settle_passages(config, identity), identity, run, existing)
    if existing is None:
        check_with_tokenizer(config)
    return config, run


def check_with_tokenizer(config: StudyConfig) -> None:
    """Raise UsageError where the model's tokenizer has not what a study asks for, or two classes claim one token."""
    beginning_of_text(config.model, config.revision, config.bos)
    vocabulary = vocabulary_of(load_encoder(config.model, config.revision))
    check_tokens_exist(vocabulary, config.classes)
    if any(token_class.has_pattern for token_class in config.classes):
        check_vocabulary(vocabulary, config.classes)
