# SPDX-License-Identifier: Apache-2.0
"""Errors of the library as exceptions.

An error of libcosmos is a CosmosError; a failure of the system is the OSError
that Python has for that errno (FileNotFoundError, PermissionError, ...), and a
lack of memory a MemoryError. The text is the library's diagnostic: what, where
and what to do.
"""

from __future__ import annotations

import errno
import os


class CosmosError(Exception):
    """An error of libcosmos. `code` is positive: a COSMOS_E* or an errno."""

    def __init__(self, code: int, text: str):
        super().__init__(text)
        self.code = code


class FormatError(CosmosError):
    """Malformed input: a damaged model, a bad trace."""


class VersionError(CosmosError):
    """Input of a newer format than this library reads."""


class MismatchError(CosmosError):
    """The model does not fit the events that it was given."""


class OwnerError(CosmosError):
    """Another live process owns the kernel's audit stream."""


class UnavailableError(CosmosError):
    """The library was built without it, or the machine does not have it."""


class InvalidError(CosmosError, ValueError):
    """An argument is out of its range."""

    def __init__(self, text: str):
        super().__init__(errno.EINVAL, text)


class EmptyError(CosmosError):
    """A trace holds no call that is selected."""


_OURS = {
    5000: FormatError,
    5001: VersionError,
    5002: MismatchError,
    5003: OwnerError,
    5004: UnavailableError,
    errno.ENODATA: EmptyError,
    errno.EDOM: CosmosError,  # a training has diverged: nothing of the system's
}


def from_code(code: int, text: str) -> Exception:
    """The exception for a positive error number and its diagnostic."""
    if code in _OURS:
        return _OURS[code](code, text)
    if code == errno.EINVAL:
        return InvalidError(text)
    if code == errno.ENOMEM:
        return MemoryError(text)
    if code in errno.errorcode:
        return OSError(code, text or os.strerror(code))
    return CosmosError(code, text)
