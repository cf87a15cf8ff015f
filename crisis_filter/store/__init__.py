"""What was received, said, decided, sent and looked at: durable, in SQLite or PostgreSQL."""
