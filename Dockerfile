# The trader and everything beside it: run_live, watchdog, doctor, state, sim_exchange, run_paper. See docs/operations.md.
#
# requirements-run.lock is the part of requirements.lock that running needs, with the same pinned hashes: no linters, no
# tests, no notebook. Only wheels are installed, so nothing is compiled and no foreign set-up script runs.

FROM python:3.11-slim AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_ROOT_USER_ACTION=ignore
WORKDIR /build

COPY requirements.lock requirements-run.lock ./
RUN python -m venv /opt/venv \
    && /opt/venv/bin/pip install --no-deps --require-hashes --only-binary :all: -r requirements-run.lock
# The build backend is pinned in the full list. It is needed here and not in the image.
RUN sed -n '/^poetry-core==/,/[^\\]$/p' requirements.lock > backend.lock \
    && python -m pip install --no-deps --require-hashes --only-binary :all: -r backend.lock

COPY pyproject.toml README.md ./
COPY src src
RUN python -m pip wheel --no-deps --no-build-isolation --wheel-dir dist . \
    && /opt/venv/bin/pip install --no-deps --no-index dist/*.whl \
    && /opt/venv/bin/pip uninstall --yes pip

FROM python:3.11-slim
RUN groupadd --gid 10001 stall \
    && useradd --uid 10001 --gid stall --no-create-home --home-dir /app --shell /usr/sbin/nologin stall
COPY --from=build /opt/venv /opt/venv
WORKDIR /app
COPY src/stall_then_strike/config/defaults configs
# data/tmp: the lock that keeps two traders off one account is in the temporary folder, so all containers share it.
RUN install -d -o stall -g stall -m 0750 logs data data/journal data/tmp
ENV PATH=/opt/venv/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 TMPDIR=/app/data/tmp
VOLUME ["/app/logs", "/app/data"]
USER 10001:10001
STOPSIGNAL SIGTERM
CMD ["run_live", "--config", "configs/live.yml", "--yes"]
