"""The two ways in which a command says no. Both carry the cause and the next step."""

#: The next step where a file of ours is not what it was.
REBUILD = "Build it again: squeezebert-export build MODEL OUT --force"


class ExportError(Exception):
    """Base of the errors that are shown to the user as one line, without a traceback."""

    exit_code = 2

    def __init__(self, message: str, next_step: str) -> None:
        super().__init__(f"{message} {next_step}")
        self.message = message
        self.next_step = next_step


class UserError(ExportError):
    """The user's input cannot be used (exit code 2)."""

    exit_code = 2


class CheckFailed(ExportError):
    """A check or gate said no (exit code 1)."""

    exit_code = 1


class OutOfTime(CheckFailed):
    """The time that was given was over before there was a verdict (exit code 1)."""
