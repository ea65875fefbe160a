"""Exit codes of the commands."""

DONE = 0
"""All is well; of `plan`: nothing to do."""
FAILED = 1
CHANGES_PENDING = 2
"""Of `plan`: `up` would change something."""
INTERRUPTED = 130
