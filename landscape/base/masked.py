"""Command lines without what is secret in them."""

from __future__ import annotations

import re
from collections.abc import Sequence

MASK = "***"

_NAMED = re.compile(
    r"(?:^|[-_.+])(?:token|secret|password|passwd|pwd|passphrase|credentials?|auth|authorization"
    r"|(?:api|access|secret|private|auth)[-_]?key|key[-_]?id)$",
    re.IGNORECASE,
)
_KNOWN = re.compile(  # as they are given out: Hugging Face, OpenAI, GitHub, GitLab, Slack, AWS, JWT
    r"\b(?:hf_|sk-|sk_|gh[pousr]_|github_pat_|glpat-|xox[abeprs]-|AKIA|ASIA|AIza|nvapi-|r8_|pypi-)"
    r"[\w\-]{12,}|\beyJ[\w\-]+\.[\w\-]+\.[\w\-]*"
)
_ADDRESS = re.compile(r"(://[^/\s:@]*):[^/\s@]+@|(://)[^/\s:@]{16,}@")


def masked_command(words: Sequence[str]) -> list[str]:
    """The words of a command with tokens, keys and passwords replaced by ``***``.

    >>> masked_command(["train.py", "--token", "abc", "--api-key=def", "--steps", "3"])
    ['train.py', '--token', '***', '--api-key=***', '--steps', '3']
    """
    found: list[str] = []
    secret = False  # whether the option before asked for one
    for word in map(str, words):
        name, equals, _ = word.partition("=")
        names = bool(_NAMED.search(name))
        if secret and not word.startswith("--"):
            found.append(MASK)
        elif names and equals:
            found.append(f"{name}={MASK}")
        else:
            word = _ADDRESS.sub(lambda m: f"{m[1]}:{MASK}@" if m[1] else f"{m[2]}{MASK}@", word)
            found.append(_KNOWN.sub(MASK, word))
        secret = names and not equals and word.startswith("-")
    return found
