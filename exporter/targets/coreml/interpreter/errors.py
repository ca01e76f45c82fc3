"""Why a package cannot be read or executed, before it is known which package it is."""


class Unreadable(Exception):
    """The package is damaged or not understood. The message goes on from "... cannot be read:"."""


class Incomplete(Unreadable):
    """A part of the package did not come along."""


class Refused(Exception):
    """An operation is not executed. The message goes on from "operation 17 of main (name):"."""
