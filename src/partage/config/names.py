"""Names that become files and folders: one rule for all, so that none lies outside its folder."""

import re

from partage.errors import UserError

NAME = re.compile(r"\w[\w.-]*")
CUSTOM_NAME = re.compile(r"\w[\w.+=-]*")  # an algorithm's with its changed settings
LONGEST = 100  # bytes: a file system takes 255, and endings come after


def check_name(what: str, name: str, where: object = "") -> None:
    """Raise `UserError` unless a name can be a file's.

    `what` is what has the name ("a task's family"), `where` the place where it stands.
    """
    if not NAME.fullmatch(name) or len(name.encode(errors="replace")) > LONGEST:
        place = f"{where}: " if where else ""
        raise UserError(
            f"{place}{what} has letters, digits, '_', '-' and '.', the first of them no '-' or "
            f"'.', {LONGEST} bytes at most, but is {name!r}."
        )


def check_task(task: str, where: object) -> None:
    """Raise `UserError` unless a task is written family/name, either of them a name."""
    family, slash, name = task.partition("/")
    if not slash:
        raise UserError(f"{where}: a task is written family/name, but is {task!r}.")
    check_name("a task's family", family, where)
    check_name("a task's name", name, where)


def check_custom_name(name: str, where: object) -> None:
    """Raise `UserError` unless an algorithm's name, with what it changes, can be a folder's."""
    if not CUSTOM_NAME.fullmatch(name) or len(name.encode(errors="replace")) > 2 * LONGEST:
        raise UserError(
            f"{where}: an algorithm's name has letters, digits, '_', '-', '.', '+' and '=', and "
            f"{2 * LONGEST} bytes at most, but is {name!r}."
        )
