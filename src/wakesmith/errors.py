"""Errors that a user can act on: each says what, where, and the way out. The command line prints one line and exits with 2."""

from __future__ import annotations


class WakesmithError(Exception):
    """A mistake of input or environment, told in one clear message."""

    def __str__(self) -> str:
        from wakesmith.text import printable  # which loads what Python knows of all letters

        # Messages name files, and a file may be named to write over the terminal.
        return printable(super().__str__())


class ConfigError(WakesmithError):
    """The configuration cannot be used; every problem is listed."""


class AudioError(WakesmithError):
    """A sound file cannot be used."""


class DataError(WakesmithError):
    """A manifest, a split or a store cannot be used."""


class TeacherError(WakesmithError):
    """A teacher is unknown, untrained, or answers badly."""


class BundleError(WakesmithError):
    """A bundle breaks its contract."""
