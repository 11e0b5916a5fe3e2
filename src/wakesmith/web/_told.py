"""A user's mistake in a tab is told as a message on the page, as the command line tells it in one line."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterator
from typing import Any

from wakesmith.errors import WakesmithError


def told(function: Callable[..., Any]) -> Callable[..., Any]:
    """A function for a gradio event, which may yield: its WakesmithError becomes a message."""
    if inspect.isgeneratorfunction(function):

        @functools.wraps(function)
        def steps(*values: Any) -> Iterator[Any]:
            try:
                yield from function(*values)
            except WakesmithError as error:
                raise _message(error) from error

        return steps

    @functools.wraps(function)
    def once(*values: Any) -> Any:
        try:
            return function(*values)
        except WakesmithError as error:
            raise _message(error) from error

    return once


def _message(error: WakesmithError) -> Exception:
    import gradio as gr

    return gr.Error(str(error), duration=None, print_exception=False)
