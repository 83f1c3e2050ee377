"""PostgreSQL: everything of the engine that knows the database, and nothing that knows a feed by name."""
