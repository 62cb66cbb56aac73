"""Errors that are written for the person who reads them.

Belongs here: the exception classes that the command line turns into a message and an exit code.
Does not belong here: handling them.
"""

from __future__ import annotations

from collections.abc import Sequence

EXIT_ERROR = 1
EXIT_GATE_STOPPED = 3


class LifecycleError(Exception):
    """Something a person can mend: what is wrong, where it is, what to do.

    ``problem`` says what is wrong, ``where`` names file, line or key, ``remedy`` says what to do.
    """

    exit_code = EXIT_ERROR

    def __init__(self, problem: str, *, where: str = "", remedy: str = "") -> None:
        self.problem, self.where, self.remedy = problem, where, remedy
        super().__init__(str(self))

    def __str__(self) -> str:
        head = f"{self.where}: {self.problem}" if self.where else self.problem
        return f"{head}\n  {self.remedy}" if self.remedy else head


class SettingsError(LifecycleError):
    """A setting is missing, unknown or has a value that cannot be used."""


class IntakeError(LifecycleError):
    """A file or table cannot be read as a whole; single bad rows are quarantined instead."""

    @classmethod
    def of(cls, problems: Sequence[LifecycleError]) -> LifecycleError:
        """One error out of several, so that a person can mend all of them in one go."""
        if len(problems) == 1:
            return problems[0]
        return cls(f"{len(problems)} inputs cannot be read\n" + "\n".join(str(problem) for problem in problems))


class LockedError(LifecycleError):
    """Another run is working on the same state folder."""


class GateStoppedError(LifecycleError):
    """A gate did not pass: nothing behind it may happen."""

    exit_code = EXIT_GATE_STOPPED
