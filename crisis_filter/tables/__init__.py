"""Messages in, assessments out: text, CSV, TSV, JSON Lines, Parquet and Arrow. Import from `reading` and `writing`."""
