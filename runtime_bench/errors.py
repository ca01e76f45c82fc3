"""How the commands say no. Every error carries the cause, the next step and the exit code."""


class BenchError(Exception):
    """Base of the errors that are shown to the user as one line, without a traceback."""

    exit_code = 2

    def __init__(self, message: str, next_step: str) -> None:
        super().__init__(f"{message} {next_step}")
        self.message = message
        self.next_step = next_step


class InputError(BenchError):
    """The user's input cannot be used (exit code 2)."""

    exit_code = 2


class RunnerError(BenchError):
    """A runner died, hung, or gave a wrong answer (exit code 1): its entry is out of the run."""

    exit_code = 1


class DeviceError(BenchError):
    """The device is gone (exit code 1): the run stops, and what was measured is kept."""

    exit_code = 1


class GateError(BenchError):
    """The device is in no state to be measured (exit code 1)."""

    exit_code = 1
