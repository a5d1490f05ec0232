# One image for every part: engine, web, migrations and the Ray nodes of a cluster run it with another command.
# Try another base with --build-arg PYTHON_IMAGE=...; both stages must have the same Python.

ARG PYTHON_IMAGE=docker.io/library/python:3.12-slim-bookworm
ARG RUST_IMAGE=docker.io/library/rust:1.95.0-slim-bookworm

FROM ${RUST_IMAGE} AS rust

FROM ${PYTHON_IMAGE} AS build
ARG UV_VERSION=0.13.9
ENV CARGO_HOME=/usr/local/cargo RUSTUP_HOME=/usr/local/rustup PATH=/opt/uv/bin:/usr/local/cargo/bin:${PATH} \
    UV_PYTHON_DOWNLOADS=never UV_LINK_MODE=copy UV_PROJECT_ENVIRONMENT=/opt/gasinsight
RUN apt-get update \
    && apt-get install -y --no-install-recommends gcc libc6-dev \
    && rm -rf /var/lib/apt/lists/*
COPY --from=rust /usr/local/cargo /usr/local/cargo
COPY --from=rust /usr/local/rustup /usr/local/rustup
RUN python3 -m venv /opt/uv && /opt/uv/bin/pip install --no-cache-dir "uv==${UV_VERSION}"

WORKDIR /source
# The packages change seldom: their layer stays when only our own sources change.
COPY pyproject.toml uv.lock ./
RUN uv sync --locked --no-dev --no-install-project --no-cache
COPY Cargo.toml Cargo.lock README.md LICENSE ./
COPY native native
COPY engine engine
COPY migrations migrations
COPY web web
# Maturin is a build requirement and a package of the lock file: the lock's version and hash count.
RUN uv export --quiet --locked --only-group dev --output-file /tmp/build.txt \
    && uv build --wheel --no-cache --build-constraints /tmp/build.txt --require-hashes --out-dir /tmp/dist \
    && uv pip install --python /opt/gasinsight/bin/python --no-cache --no-deps /tmp/dist/*.whl
# GNU readline is GPL; it comes with the embedded PostgreSQL's psql, which nothing here runs.
RUN find /opt/gasinsight \( -name psql -o -name 'libreadline*' \) -type f -delete

FROM ${PYTHON_IMAGE} AS runtime
ARG VERSION=0.1.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="GasInSight.Server" \
      org.opencontainers.image.description="Realtime monitoring of gas facilities" \
      org.opencontainers.image.licenses="MIT" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
RUN groupadd --gid 10001 gasinsight \
    && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /var/lib/gasinsight --shell /usr/sbin/nologin gasinsight \
    && install --directory --owner=10001 --group=10001 --mode=0700 /var/lib/gasinsight
COPY --from=build /opt/gasinsight /opt/gasinsight
COPY --chmod=0755 deploy/with-raylet /usr/local/bin/with-raylet
# Where a login shell finds them too: KubeRay starts Ray through one.
RUN ln -s /opt/gasinsight/bin/gasinsight /opt/gasinsight/bin/ray /usr/local/bin/
ENV PATH=/opt/gasinsight/bin:${PATH} PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 \
    HOME=/var/lib/gasinsight DATA_DIR=/var/lib/gasinsight WEB_HOST=0.0.0.0 \
    RAY_USAGE_STATS_ENABLED=0 RAY_enable_metrics_collection=0
# The only folders that are written: the root file system may be read-only when both are mounts.
VOLUME ["/var/lib/gasinsight", "/tmp"]
WORKDIR /var/lib/gasinsight
USER 10001:10001
EXPOSE 8000
STOPSIGNAL SIGTERM
# For the parts that serve HTTP; compose and Kubernetes say what fits each part.
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s --retries=3 \
    CMD ["python3", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8000/livez', timeout=4)"]
ENTRYPOINT ["gasinsight"]
CMD ["up"]
