"""PostgreSQL and Airflow of this clone: as processes, or under Docker."""
