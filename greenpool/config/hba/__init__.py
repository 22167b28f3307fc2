"""pg_hba.conf and pg_ident.conf: from text to rules. Who is matched by them is decided in `auth`.

    text --tokens.py--> lines of fields --parse.py, ident.py--> rules (rule.py)

Source: "Client Authentication > The pg_hba.conf File", "> User Name Maps"; PostgreSQL `hba.c`.
"""
