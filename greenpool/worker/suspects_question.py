"""The question which functions of a database change the session in secret, and what runs them.

Its rows are (kind, text), drawn in `Kind`. First the *bodies* are read: source texts of functions
in any language but C (extensions in C are trusted), and the expressions of views, defaults,
policies and the like for calls of what PostgreSQL itself has to change sessions. One that may do so
is the beginning of a chain; from there all that PostgreSQL knows to depend on it, and all functions
whose source texts name one of these, are followed. What comes out are names, without schemas: a
text that has none of them cannot run any of it. Where names do not tell (operators, casts) the
answer is that any text may.

The reading errs on the side of suspicion, since that costs a question and no more. A SET counts
where a statement can begin, so that `UPDATE t SET` does not; SET LOCAL does not, nor does
`set_config(..., true)`. EXECUTE of a text counts, unless that visibly begins with a command that
changes no session; such a one may still reach suspects by names it makes up, if there are any.
Settings in a function's own SET clause are undone by PostgreSQL.
Source: PostgreSQL, "System Catalogs"; `pg_depend`. Partner: `suspects.py`, `_cparser/suspects.h`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

SQL_BODIES_SINCE = 140000
"""server_version_num since which functions may have bodies that are parsed when they are made."""


class Kind(StrEnum):
    """What a row says."""

    WORD = "word"
    """A name: a text with it may run such a function."""
    SETTING = "setting"
    """A setting with a dot in its name that is made by one."""
    HIDES = "hides"
    """One may make settings whose names cannot be read."""
    ANY = "any"
    """Names do not tell: any text may run one."""


@dataclass(frozen=True, slots=True)
class Suspects:
    """The answer. `is_any`: every text is suspect; `hides`: no question finds all that is set."""

    words: frozenset[str]
    settings: frozenset[str]
    hides: bool
    is_any: bool


# Words that greenpool looks for in texts are spelled `se[t]` here, so that it does not find them in
# its own. Where a statement can begin, in a function's source text or in a text that it executes.
_BEGINS = r"""(^|[;'"$>]|[*]/|--[^\n]*\n|\m(begin|then|else|loop|as|atomic)\M)\s*"""
_DOTTED = r"[a-z_][a-z0-9_$]*([.][a-z_][a-z0-9_$]*)+"
_LOCAL_CALL = r"set_confi[g]\s*[(]([^()']|'[^']*'|[(][^()]*[)])*,\s*true\s*[)]"
_NAMED_CALL = rf"set_confi[g]\s*[(]\s*'({_DOTTED})'\s*,"
_NAMED_SET = rf"\mse[t]\s+(session\s+)?({_DOTTED})\s*(=|to\M)"
_PLAIN_COMMAND = (
    r"(insert|update|delete|select|with|merge|truncate|create\s+(table|index|unique)|alter\s+table|"
    r"drop|analyze|refresh|grant|revoke|comment|lock|notify|call)\M"
)
_EXECUTES = r"\mexecute\M(?!\s+(function|procedure|on)\M)"
_EXECUTES_PLAIN = rf"\mexecute\s+(format\s*[(]\s*)?e?'\s*{_PLAIN_COMMAND}"
_CHANGES = "|".join(
    (
        rf"{_BEGINS}se[t]\M(?!\s+(local|transaction|constraints)\M)",
        rf"{_BEGINS}(reset|discard|listen|unlisten|prepare|deallocate|load)\M",
        r"\mset_confi[g]\M",
        r"\mpg_(try_)?advisory_(lock|unlock)",
        r"(\m(create|replace|local|global|into|recursive)|[*]/)\s+tem[p](orary)?\M",
        r"\mpg_tem[p]",
        r"\mwith\s+hol[d]\M",
        r"\mupdate\s+(only\s+)?(pg_catalog[.])?pg_setting[s]\M",
    )
)
_FOREIGN = r"exec|query|prepare|spi"
# What no identifier without quotes has.
_SIGNS = r"[:space:]!-#%-/:-@[-^`{-~"

# Expressions as PostgreSQL has parsed them: nodes that call one of its own functions.
_TREES = """
  SELECT 'pg_rewrite'::regclass AS class, oid, ev_action::text || ev_qual::text AS tree
    FROM pg_rewrite
  UNION ALL SELECT 'pg_attrdef'::regclass, oid, adbin::text FROM pg_attrdef
  UNION ALL SELECT 'pg_constraint'::regclass, oid, conbin::text FROM pg_constraint
  UNION ALL SELECT 'pg_policy'::regclass, oid,
      coalesce(polqual::text, '') || coalesce(polwithcheck::text, '') FROM pg_policy
  UNION ALL SELECT 'pg_trigger'::regclass, oid, tgqual::text FROM pg_trigger
  UNION ALL SELECT 'pg_class'::regclass, indexrelid,
      coalesce(indexprs::text, '') || coalesce(indpred::text, '') FROM pg_index
  UNION ALL SELECT 'pg_type'::regclass, oid, typdefaultbin::text FROM pg_type
  UNION ALL SELECT 'pg_proc'::regclass, oid, proargdefaults::text FROM pg_proc"""
_SQL_BODIES = " UNION ALL SELECT 'pg_proc'::regclass, oid, prosqlbody::text FROM pg_proc"

# Commands that may reach anything, whatever names are in their texts, once there is a suspect.
_REACHING = (
    *("execute", "cascade", "query_to_xml", "query_to_xml_and_xmlschema", "query_to_xmlschema"),
    *("cursor_to_xml", "cursor_to_xmlschema", "table_to_xml", "table_to_xml_and_xmlschema"),
    *("schema_to_xml", "schema_to_xml_and_xmlschema", "database_to_xml", "ts_stat", "ts_rewrite"),
    *("database_to_xml_and_xmlschema", "xpath_table"),
)
# What event triggers come with.
_DEFINING = (
    *("create", "alter", "drop", "grant", "revoke", "comment", "security", "import", "reassign"),
    *("refresh", "reindex", "cluster"),
)

_PATTERNS = {
    "local_call": _LOCAL_CALL,
    "named_call": _NAMED_CALL,
    "named_set": _NAMED_SET,
    "quoted_set": r"""\mse[t]\s+(session\s+)?["']""",
    "changes": _CHANGES,
    "executes": _EXECUTES,
    "executes_plain": _EXECUTES_PLAIN,
    "foreign": _FOREIGN,
    "reaches": rf"{_EXECUTES}|_to_xml|ts_stat|ts_rewrite",
    "sign": f"[{_SIGNS}]",
    "token": f"[^{_SIGNS}]+",
}
"""Regular expressions by their names in the question, where they stand in dollar quotes: so no
setting of the server can read them differently."""

_QUESTION = """SET LOCAL search_path = pg_catalog; WITH RECURSIVE
bodies AS MATERIALIZED (
  SELECT p.oid, l.lanname, p.proname,
      regexp_replace(lower(p.prosrc), {local_call}, ' ', 'g') AS source
    FROM pg_proc AS p JOIN pg_language AS l ON l.oid = p.prolang
    WHERE p.oid >= 16384 AND l.lanname NOT IN ('c', 'internal')),
read AS MATERIALIZED (
  SELECT oid, proname, source, source ~ {changes} AS changes,
      CASE WHEN lanname IN ('sql', 'plpgsql')
        THEN regexp_replace(source, {executes_plain}, ' ', 'g') ~ {executes}
        ELSE source ~ {foreign} END AS executes,
      source ~ {reaches} AS reaches
    FROM bodies),
nodes AS (
  SELECT ':(funcid|opfuncid) (' || string_agg(oid::text, '|') || ') ' AS pattern FROM pg_proc
    WHERE pronamespace = 'pg_catalog'::regnamespace AND
      proname ~ '^(set_confi[g]|pg_(try_)?advisory_(lock|unlock).*)$'),
direct(class, id, hides) AS MATERIALIZED (
  SELECT 'pg_proc'::regclass, oid, executes
      OR (SELECT count(*) FROM regexp_matches(source, 'set_confi[g]', 'g'))
        > (SELECT count(*) FROM regexp_matches(source, {named_call}, 'g'))
      OR source ~ {quoted_set}
    FROM read WHERE changes OR executes
  UNION ALL SELECT class, oid, true FROM ({trees}) AS trees, nodes
    WHERE oid >= 16384 AND tree ~ pattern),
named(class, id, name) AS MATERIALIZED (
  SELECT 'pg_proc'::regclass, oid, proname FROM pg_proc WHERE oid >= 16384
  UNION ALL SELECT 'pg_class'::regclass, oid, relname FROM pg_class
    WHERE oid >= 16384 AND relkind IN ('r', 'p', 'v', 'm', 'f')
  UNION ALL SELECT 'pg_type'::regclass, oid, typname FROM pg_type
    WHERE oid >= 16384 AND typtype IN ('d', 'r', 'm')),
tokens(oid, token) AS MATERIALIZED (
  SELECT DISTINCT b.oid, match[1] FROM bodies AS b, regexp_matches(b.source, {token}, 'g') AS match
    WHERE EXISTS (SELECT FROM direct)),
calls(class, id, caller) AS MATERIALIZED (
  SELECT n.class, n.id, t.oid FROM named AS n JOIN tokens AS t ON t.token = lower(n.name)
  UNION ALL SELECT n.class, n.id, b.oid FROM named AS n
      JOIN bodies AS b ON strpos(b.source, lower(n.name)) > 0
    WHERE n.name ~ {sign} AND EXISTS (SELECT FROM direct)),
edges(class, id, class_to, id_to) AS MATERIALIZED (
  SELECT refclassid, refobjid, classid, objid FROM pg_depend
    WHERE refobjid >= 16384 AND deptype IN ('n', 'a', 'i', 'P', 'S')
      AND NOT (classid = 'pg_constraint'::regclass AND objid IN
        (SELECT oid FROM pg_constraint WHERE contype = 'f'))
      AND NOT (classid = 'pg_type'::regclass AND objid IN
        (SELECT oid FROM pg_type WHERE typrelid <> 0))
      AND NOT (classid = 'pg_class'::regclass AND objid IN
        (SELECT oid FROM pg_class WHERE relkind IN ('S', 't')))
  UNION ALL SELECT classid, objid, refclassid, refobjid FROM pg_depend
    WHERE objid >= 16384 AND deptype IN ('a', 'i', 'P', 'S')
      AND refclassid IN ('pg_class'::regclass, 'pg_type'::regclass)
      AND classid IN ('pg_rewrite'::regclass, 'pg_trigger'::regclass, 'pg_attrdef'::regclass,
        'pg_constraint'::regclass, 'pg_policy'::regclass, 'pg_class'::regclass)
  UNION ALL SELECT 'pg_class'::regclass, inhrelid, 'pg_class'::regclass, inhparent FROM pg_inherits
  UNION ALL SELECT 'pg_class'::regclass, conrelid, 'pg_class'::regclass, confrelid
    FROM pg_constraint WHERE contype = 'f' AND confdeltype::text || confupdtype::text ~ '[cnd]'
  UNION ALL SELECT class, id, 'pg_proc'::regclass, caller FROM calls),
reached(class, id) AS (
  SELECT class::oid, id FROM direct
  UNION SELECT 'pg_proc'::regclass, oid FROM read WHERE reaches AND EXISTS (SELECT FROM direct)
  UNION SELECT e.class_to, e.id_to FROM reached AS r
    JOIN edges AS e ON e.class = r.class AND e.id = r.id)
SELECT '{word}', n.name FROM reached AS r JOIN named AS n ON n.class = r.class AND n.id = r.id
UNION SELECT '{word}', unnest('{reaching}'::text[]) WHERE EXISTS (SELECT FROM direct)
UNION SELECT '{word}', unnest('{defining}'::text[])
  WHERE EXISTS (SELECT FROM pg_event_trigger JOIN reached
    ON class = 'pg_event_trigger'::regclass AND id = oid WHERE evtevent <> 'login')
UNION SELECT '{setting}', match[1] FROM read, regexp_matches(source, {named_call}, 'g') AS match
  WHERE changes
UNION SELECT '{setting}', match[2] FROM read, regexp_matches(source, {named_set}, 'g') AS match
  WHERE changes
UNION SELECT '{hides}', '' FROM direct WHERE hides
UNION SELECT '{any}', '' FROM reached
  WHERE class IN ('pg_operator'::regclass, 'pg_cast'::regclass, 'pg_amproc'::regclass,
    'pg_opclass'::regclass, 'pg_opfamily'::regclass)"""


def question_of_suspects(server_version_num: int) -> str:
    """Return the question for a server of this version."""
    trees = _TREES + (_SQL_BODIES if server_version_num >= SQL_BODIES_SINCE else "")
    parts = {
        "trees": trees,
        **{name: f"$p${pattern}$p$" for name, pattern in _PATTERNS.items()},
        "reaching": f"{{{','.join(_REACHING)}}}",
        "defining": f"{{{','.join(_DEFINING)}}}",
        **{kind.name.lower(): kind for kind in Kind},
    }
    question = _QUESTION
    for name, text in parts.items():
        question = question.replace(f"{{{name}}}", text)
    return question


def read_suspects(rows: Iterable[tuple[str | None, ...]]) -> Suspects:
    """Put the rows of the answer together."""
    found: dict[Kind, set[str]] = {kind: set() for kind in Kind}
    for kind, text in rows:
        found[Kind(kind or "")].add(text or "")
    return Suspects(
        words=frozenset(found[Kind.WORD]),
        settings=frozenset(found[Kind.SETTING]),
        hides=bool(found[Kind.HIDES]),
        is_any=bool(found[Kind.ANY]),
    )
