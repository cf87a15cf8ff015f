"""From a message to an assessment: views ► screen ► categorise ► checked evidence ► triage."""
