"""How a smoke test fails: what was found, what was expected, the likely cause, and the command to run next."""


class Broken(AssertionError):
    """Something that must hold does not. Its text is the whole message; there is no traceback to read."""


def expect(holds: bool, *, found: str, expected: str, cause: str, run: str) -> None:
    """Fail with one paragraph unless `holds`.

    Raises:
        Broken: it does not hold.
    """
    if not holds:
        raise Broken(paragraph(found=found, expected=expected, cause=cause, run=run))


def paragraph(*, found: str, expected: str, cause: str, run: str) -> str:
    """Return the four parts as one paragraph."""
    return f"Found: {found}. Expected: {expected}. Likely cause: {cause}. Run: {run}"


def shortened(text: str, limit: int = 200) -> str:
    """Return `text` on one line, cut to `limit` characters."""
    line = " ".join(text.split())
    return line if len(line) <= limit else f"{line[: limit - 1]}…"
