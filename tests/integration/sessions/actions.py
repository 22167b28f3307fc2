"""What clients do in the property test of session continuity, as texts.

`FREE`: anyone may at any time; none of it keeps a server. `HOLDING`: opens a transaction or leaves
what no text can replay or no look can find. Of six clients only two may: a third would hold the
last of three servers, and clients would wait for each other who do not on direct connections.
"""

from __future__ import annotations

FREE = (
    "set work_mem = '5MB'",
    "set work_mem to '6MB'; set session timezone = 'America/Lima'",
    "set local work_mem = '7MB'",
    "set time zone 'Asia/Tokyo'",
    "set time zone interval '+03:00' hour to minute",
    "set datestyle = 'German'",
    "set application_name = 'it''s \"mine\"'",
    "set application_name = ''",
    "set application_name = 'ünï\\ code'",
    'set search_path = "B b", "q""uote", "$user", public',
    "set search_path = ''",
    "set app.x = 'one'",
    "/* set */ set\napp.x to 'it''s ''two'''",
    "select set_config('app.x', 'three', false)",
    "set app.x = 'six'; select 1/0",
    "begin; set app.x = 'seven'; commit",
    "begin; set app.x = 'eight'; rollback",
    "begin; savepoint a; set app.x = 'nine'; rollback to a; set app.y = 'kept'; commit",
    "set session App.Y = 'é\\ü'",
    "select set_config('app.Y', '', false)",
    "select set_config('app.x', 'four', true)",
    "do $$ begin set work_mem = '8MB'; end $$",
    "select sets_work_mem()",
    "select sets_app_x('eleven')",
    "call sets_zone()",
    "insert into signed values (1)",
    "select * from looks",
    "set role app_trust",
    "set role none",
    "set session authorization default",
    "set standard_conforming_strings = off",
    "set default_transaction_isolation = 'serializable'",
    "set session characteristics as transaction read only",
    "set session characteristics as transaction read write",
    "set work_mem = 'lots'",
    "rollback",
    "select 1",
)
FUNCTIONS = """
    create function sets_work_mem() returns int language plpgsql as
        $$ begin set work_mem = '9MB'; return 1; end $$;
    create function sets_app_x(x text) returns text language sql as
        $$ select pg_catalog.set_config('app.x', x, false) $$;
    create procedure sets_zone() language plpgsql as
        $$ begin execute 'set time' || ' zone ''Europe/Rome'''; end $$;
    create function makes_mine() returns int language plpgsql as
        $$ begin create temp table mine (a int); return 1; end $$;
    create function locks() returns bool language sql as $$ select pg_try_advisory_lock(4) $$;
    create table signed (a int);
    create function signs() returns trigger language plpgsql as
        $$ begin perform set_config('app.y', 'signed', false); return new; end $$;
    create trigger signs before insert on signed for each row execute function signs();
    create view looks as select set_config('datestyle', 'SQL', false);
    grant all on signed, looks to app_trust
"""
"""What some of the texts run: no text says what these set."""

RESETS = (
    "reset work_mem",
    "reset timezone",
    "set timezone to default",
    "reset app.x",
    "reset role",
    "reset all",
    "discard all",
)
"""FREE too; a client with startup parameters does not say them in a transaction, where only its end
brings those back (docs/sessions.md)."""

HOLDING = (
    "select set_config('search_path', '', false), set_config('app.y', 'é\\', false)",
    "do $$ begin perform set_config('app.x', 'five', false); end $$",
    "do $$ begin execute 'set app.z to ''six'''; end $$",
    "begin; set role app_trust; select 1/0",
    "begin",
    "begin",
    "commit",
    "commit",
    "rollback",
    "savepoint a",
    "rollback to a",
    "release a",
    "select 1/0",
    "select makes_mine()",
    "select locks()",
    "create temp table mine (a int)",
    "create temporary table brief (a int) on commit drop",
    "select 1 as a into temp mine",
    "insert into mine values (1)",
    "drop table mine",
    "discard temp",
    "select pg_try_advisory_lock(1)",
    "select pg_try_advisory_lock_shared(2)",
    "select pg_try_advisory_xact_lock(3)",
    "select pg_advisory_unlock(1)",
    "select pg_advisory_unlock_all()",
    "prepare mine as select current_setting('work_mem')",
    "prepare sets as select set_config('app.x', 'prepared', false)",
    "deallocate mine",
    "deallocate all",
    "listen news",
    "unlisten news",
    "unlisten *",
    "declare held cursor with hold for select generate_series(1, 5)",
    "declare brief cursor for select 1",
    "close held",
    "close all",
)
PROBES = (
    "select * from mine",
    "execute mine",
    "execute sets",
    "fetch 2 from held",
    "insert into pg_temp.mine values (2)",
    "select count(*) from pg_listening_channels()",
)
"""Anyone may: they work for whom has what they name, and for nobody else."""

LOOK = """
    select current_setting('work_mem'), current_setting('timezone'), current_setting('datestyle'),
        current_setting('application_name'), current_setting('search_path'),
        coalesce(current_setting('app.x', true), ''), coalesce(current_setting('app.y', true), ''),
        coalesce(current_setting('app.z', true), ''),
        current_setting('role'), current_user, session_user,
        current_setting('standard_conforming_strings'),
        current_setting('default_transaction_isolation'),
        current_setting('default_transaction_read_only'),
        (select pg_catalog.count(*) from pg_catalog.pg_listening_channels()),
        (select pg_catalog.array_agg(name order by name) from pg_catalog.pg_prepared_statements
            where from_sql),
        (select pg_catalog.array_agg(name order by name) from pg_catalog.pg_cursors
            where name <> ''),
        (select pg_catalog.array_agg((objid, mode) order by objid) from pg_catalog.pg_locks
            where locktype = 'advisory' and pid = pg_catalog.pg_backend_pid()),
        (select pg_catalog.array_agg(relname order by relname) from pg_catalog.pg_class
            where relnamespace = pg_catalog.pg_my_temp_schema())
"""
