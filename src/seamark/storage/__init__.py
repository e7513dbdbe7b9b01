"""One database port, two engines (SQLite, PostgreSQL): units of work, migrations, bulk writes, the event log."""
