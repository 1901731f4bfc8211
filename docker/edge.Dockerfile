# The edge image: edge_runtime, numpy and onnxruntime. Build from the repository's root:
#   docker build -f docker/edge.Dockerfile -t edgewright-edge .
#   docker run --rm --read-only -v "$PWD/.edgewright/demo/target:/bundles:ro" \
#       edgewright-edge verify /bundles/targets/MODEL/DEVICE/SHA256.manifest.json
# Nothing here knows git's tags. A release names its version, which bundles may ask for:
#   docker build --build-arg SETUPTOOLS_SCM_PRETEND_VERSION=X.Y.Z ...
FROM python:3.11-slim

COPY docker/edge-requirements.txt /tmp/edge-requirements.txt
RUN pip install --no-cache-dir --no-compile --no-deps --requirement /tmp/edge-requirements.txt \
    && rm /tmp/edge-requirements.txt \
    && useradd --uid 10001 --no-create-home --shell /usr/sbin/nologin edge

ARG SETUPTOOLS_SCM_PRETEND_VERSION
COPY edge_runtime /opt/edgewright/edge_runtime
RUN pip install --no-cache-dir --no-compile --no-deps /opt/edgewright/edge_runtime \
    && rm --recursive /opt/edgewright

ENV ORT_DISABLE_TELEMETRY=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1

USER 10001
WORKDIR /tmp
ENTRYPOINT ["python", "-m", "edge_runtime"]
