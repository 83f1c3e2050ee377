"""What the DAG's steps share: connection, lease, files, alerts, retries."""
