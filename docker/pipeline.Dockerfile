# The pipeline image: the MLflow server, the Prefect server, the worker and the command line are all started from it
# (docker/compose.yaml). Build from the repository's root:
#   docker build -f docker/pipeline.Dockerfile -t edgewright-pipeline .
# Size: the packages take about 2 GB with torch's CPU build. The one that pip finds by itself for x86_64 is the CUDA
# build, with several GB of libraries that the pipeline does not use. Where an index with the CPU build can be reached:
#   docker build --build-arg PIP_EXTRA_INDEX_URL=ADDRESS ...
FROM python:3.11-slim

ARG PIP_EXTRA_INDEX_URL
WORKDIR /opt/edgewright

# Dependencies before code: a change of code does not install torch again.
COPY pyproject.toml constraints.txt ./
RUN python -c "import tomllib; print(*tomllib.load(open('pyproject.toml', 'rb'))['project']['dependencies'], sep='\n')" \
    > /tmp/requirements.txt \
    && pip install --no-cache-dir --requirement /tmp/requirements.txt --constraint constraints.txt \
    && rm /tmp/requirements.txt

COPY README.md LICENSE ./
COPY edge_runtime edge_runtime
COPY quality_gates quality_gates
COPY model_compression model_compression
COPY deployments deployments
COPY tasks tasks
COPY flows flows
# Editable: one copy of the code, the one beside deployments/. A checkout that only its owner can read (umask 077) keeps
# its modes, and the user below is another one.
RUN pip install --no-cache-dir --no-deps --editable . \
    && chmod --recursive a+rX /opt/edgewright \
    && useradd --uid 10001 --create-home --shell /usr/sbin/nologin edgewright \
    && install --directory --owner edgewright /var/lib/edgewright /var/lib/mlflow /var/lib/prefect

ENV DO_NOT_TRACK=true \
    EDGEWRIGHT_HOME=/var/lib/edgewright \
    EDGEWRIGHT_TARGET=/var/lib/edgewright/target \
    GIT_PYTHON_REFRESH=quiet \
    MLFLOW_ALLOW_PICKLE_DESERIALIZATION=false \
    MLFLOW_DISABLE_TELEMETRY=true \
    OMP_WAIT_POLICY=passive \
    ORT_DISABLE_TELEMETRY=1 \
    PREFECT_SERVER_ANALYTICS_ENABLED=false \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1

USER 10001
CMD ["prefect", "worker", "start", "--pool", "edgewright", "--type", "process", "--limit", "1", "--with-healthcheck"]
