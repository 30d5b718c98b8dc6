"""A WHERE clause that is put together from what was asked for, with its arguments.

Invariant: no input ever becomes part of a statement; it stands in the arguments, and in the text only its place does.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Self


class Conditions:
    """Only what is asked for is in the statement, so that each question gets its own plan."""

    def __init__(self, args: Sequence[Any] = (), conditions: Sequence[str] = ()) -> None:
        self.args: list[Any] = [*args]
        self._conditions: list[str] = [*conditions]

    def copy(self) -> Self:
        return type(self)(self.args, self._conditions)

    def place(self, value: object) -> str:
        """Take an argument; how the statement refers to it."""
        self.args.append(value)
        return f"${len(self.args)}"

    def add(self, condition: str, *values: object) -> None:
        """`{}` stands for each value in turn; `condition` is never made from input."""
        self._conditions.append(condition.format(*(self.place(value) for value in values)))

    @property
    def where(self) -> str:
        return f"WHERE {' AND '.join(self._conditions)}" if self._conditions else ""
