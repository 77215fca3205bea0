"""What is refused, and what the exit codes of all commands mean."""

from enum import IntEnum


class ExitCode(IntEnum):
    """The exit codes of all commands; the help of each says what they mean there."""

    done = 0
    failed = 1
    refused = 2
    undecided = 3
    interrupted = 130
    terminated = 143


class Refusal(Exception):  # noqa: N818 - it is no error of the program
    """What cannot be done as it was asked for; nothing was done.

    Args:
        *problems: One line each: what, the rule, the value, what to do.

    Attributes:
        problems: The same.
        exit_code: Of a command that ends with it.
    """

    exit_code = ExitCode.refused

    def __init__(self, *problems: str) -> None:
        self.problems = problems
        super().__init__("\n".join(problems))


class StoreError(Refusal):
    """A store that cannot be opened, read or written."""


class ServerDied(Refusal):
    """A server of ours that ended by itself; its last words are the message."""

    exit_code = ExitCode.failed
