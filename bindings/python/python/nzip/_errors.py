"""Exceptions, by what a caller can do about them."""

from __future__ import annotations


class NzipError(Exception):
    """Any error of nzip but those of files, which are ``OSError``."""


class NewerVersionError(NzipError):
    """The data needs a feature or version that this release does not know."""


class NotNzError(NzipError, ValueError):
    """The data is no ``.nz`` stream: it starts otherwise."""


class CorruptError(NzipError, ValueError):
    """The data contradicts itself or a checksum."""


class TruncatedError(NzipError, EOFError):
    """The data ends before it should."""


class BadArgumentError(NzipError, ValueError):
    """An argument is out of range, or asks for something impossible."""


class MissingModelError(NzipError, LookupError):
    """The data names a model that could not be found."""


class MissingBaseError(NzipError, LookupError):
    """The data is coded against a base tensor that was not given."""


class LimitExceededError(NzipError, MemoryError):
    """More memory is needed than the caller allows, or than there is."""


class DeviceError(NzipError):
    """A GPU is missing or failed."""
