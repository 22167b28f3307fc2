"""The question that greenpool asks PostgreSQL when a transaction may have changed session state.

Its answer is one row, drawn in `_cparser/continuity.h`: what pins the client to its server, how
like its beginning the session is, and a text that makes any other server so. Everything is named
by its schema, for the session may have any search_path; constants of the session's own making go
as hex digits where its settings could change how they are read. Settings with a dot in their names
stand in no view and are asked for by name: those of the startup packet (empty means reset), and
those that the client made, which the engine puts before this text as `WITH named(name) AS (...), `.
Once made, they are never gone from a server, only empty: an empty one is kept as it is.
Source: PostgreSQL, "System Views > pg_settings"; "Discard".
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

_ROLE_SETTINGS = """
  UNION ALL SELECT 'session_authorization', session_user::text, 1
    FROM pg_catalog.pg_stat_get_activity(pg_catalog.pg_backend_pid()) AS me
    WHERE session_user <> pg_catalog.pg_get_userbyid(me.usesysid)
  UNION ALL SELECT 'role', pg_catalog.current_setting('role'), 2
    WHERE pg_catalog.current_setting('role') <> 'none'"""

_QUESTION = (
    """begun(name, value) AS ({begun}),
listed(name, source) AS MATERIALIZED (SELECT name, source FROM pg_catalog.pg_settings),
dotted(name, value) AS (
  SELECT name, pg_catalog.current_setting(name, true)
    FROM (SELECT name FROM named
      UNION SELECT name FROM begun WHERE pg_catalog.strpos(name, '.') > 0) AS any_of_both
    WHERE name NOT IN (SELECT pg_catalog.lower(name) FROM listed)),
here(name, value, rank) AS (
  SELECT name, pg_catalog.current_setting(name), 0 FROM listed
    WHERE source = 'session' AND name NOT IN
      ('is_superuser', 'transaction_isolation', 'transaction_read_only',
       'transaction_deferrable')
  UNION ALL SELECT name, value, 0 FROM dotted
    WHERE value <> '' OR (value = '' AND name NOT IN (SELECT name FROM begun))"""
    + _ROLE_SETTINGS
    + """),
wanted(name, value, rank) AS (
  SELECT name, value, rank FROM here
  UNION ALL SELECT name, value, 0 FROM begun
    WHERE pg_catalog.lower(name) NOT IN (SELECT pg_catalog.lower(name) FROM here)),
written(call, rank, name) AS (
  SELECT 'pg_catalog.set_config(' || pg_catalog.quote_literal(name) || ', ' ||
    CASE WHEN value ~ '^[ -~]*$' AND pg_catalog.strpos(value, pg_catalog.chr(92)) = 0
      THEN pg_catalog.quote_literal(value)
      ELSE 'pg_catalog.convert_from(pg_catalog.decode(''' || pg_catalog.encode(
        pg_catalog.convert_to(value, pg_catalog.getdatabaseencoding()), 'hex') ||
        ''', ''hex''), pg_catalog.getdatabaseencoding())'
    END || ', false)', rank, name FROM wanted)
SELECT
  EXISTS (SELECT FROM pg_catalog.pg_prepared_statements WHERE from_sql)::int
  + 2 * EXISTS (SELECT FROM pg_catalog.pg_cursors WHERE is_holdable)::int
  + 4 * EXISTS (SELECT FROM pg_catalog.pg_class
      WHERE relnamespace = pg_catalog.pg_my_temp_schema())::int
  + 8 * EXISTS (SELECT FROM pg_catalog.pg_locks
      WHERE locktype = 'advisory' AND pid = pg_catalog.pg_backend_pid())::int
  + 16 * EXISTS (SELECT FROM pg_catalog.pg_listening_channels())::int,
  EXISTS (SELECT FROM begun
    WHERE pg_catalog.lower(name) NOT IN (SELECT pg_catalog.lower(name) FROM here))::int
  + 2 * EXISTS (SELECT FROM here WHERE (pg_catalog.lower(name), value) NOT IN
      (SELECT pg_catalog.lower(name), value FROM begun))::int,
  '{reset}' || coalesce('; SELECT ' ||
    (SELECT pg_catalog.string_agg(call, ', ' ORDER BY rank, name) FROM written), ''),
  (SELECT coalesce(pg_catalog.string_agg(pg_catalog.lower(name), ',' ORDER BY name), '')
    FROM wanted WHERE pg_catalog.lower(name) ~ '^[a-z0-9_$]+[.][a-z0-9_.$]+$')"""
)


def question_of_session(base: Mapping[str, str], reset: str, constant: Callable[[str], str]) -> str:
    """Return the question for sessions that began with the settings `base`.

    It lacks its own beginning, the names. Settings of the session's beginning that have been reset
    are in the answer's text again. `reset`: what that text begins with; `constant` writes a text
    constant.
    """
    rows = ", ".join(f"({constant(name)}, {constant(base[name])})" for name in sorted(base))
    begun = f"VALUES {rows}" if rows else "SELECT ''::text, ''::text WHERE false"
    return _QUESTION.replace("{begun}", begun, 1).replace("{reset}", reset, 1)
