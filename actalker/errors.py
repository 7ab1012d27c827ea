"""What the user can mend: one sentence that says what was found and what to do."""


class InputError(ValueError):
    """Bad input. The message is all that is said: the command prints it and exits with 2, the page shows it."""
