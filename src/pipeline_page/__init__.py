"""The pipeline's page: what the ledger and the marts say, for people who would rather look than query.

Free of Airflow: queries → frozen results → HTML, CSV and one file to mail. `airflow/plugins/` mounts it.
"""
