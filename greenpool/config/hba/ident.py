r"""Lines -> user name maps of pg_ident.conf.

    map  system-user  database-user

The system user may be a regular expression, whose first group `\1` in the database user stands
for; the database user may be `all` or a regular expression.
Source: "Client Authentication > User Name Maps"; PostgreSQL `parse_ident_line`.
"""

from __future__ import annotations

from collections.abc import Iterable

from greenpool.config.hba.patterns import Wrong, read_system_user, read_user
from greenpool.config.hba.rule import BACKREFERENCE, IdentRule, NameKind
from greenpool.config.hba.tokens import Complaint, Line

_FIELDS = ("map name", "system user", "database user")


def parse_ident(lines: Iterable[Line], complaints: list[Complaint]) -> tuple[IdentRule, ...]:
    """Read maps; a line that is wrong is complained of and left out."""
    rules: list[IdentRule] = []
    for line in lines:
        try:
            rules.append(_rule(line))
        except Wrong as wrong:
            complaints.append((wrong.mark, wrong.what))
    return tuple(rules)


def _rule(line: Line) -> IdentRule:
    if len(line) < len(_FIELDS):
        raise Wrong(line[-1][-1].mark, f"end-of-line before {_FIELDS[len(line)]}")
    if len(line) > len(_FIELDS):
        raise Wrong(line[len(_FIELDS)][0].mark, "a map has three fields, here is a fourth")
    for field in line:
        if len(field) > 1:
            raise Wrong(field[1].mark, "multiple values in ident field")
    name, system_user, user = (field[0] for field in line)
    rule = IdentRule(name.mark, name.text, read_system_user(system_user), read_user(user))
    regex, is_literal = rule.system_user.regex, rule.user.kind is NameKind.LITERAL
    if is_literal and BACKREFERENCE in user.text and regex is not None and not regex.groups:
        what = (
            f'regular expression "{system_user.text[1:]}" has no subexpressions as requested by '
            f'backreference in "{user.text}"'
        )
        raise Wrong(user.mark, what)
    return rule
