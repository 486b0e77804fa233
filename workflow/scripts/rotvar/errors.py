"""The error that a user can mend."""


class InputError(ValueError):
    """Something given to the program is wrong: one sentence that says what, where and the remedy.

    Scripts print the sentence without a traceback, so it must be enough to act on.
    """
