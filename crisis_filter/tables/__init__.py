"""Messages in, assessments out: text, CSV, TSV, JSON Lines and Parquet. Import from `reading` and `writing`."""
