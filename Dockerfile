# syntax=docker/dockerfile:1
# The service with its built-in model. docs/how-to/deploy.md says how to run it.

FROM python:3.11-slim AS build
WORKDIR /src
COPY pyproject.toml README.md LICENSE NOTICE ./
COPY src src
# Off: the wheels of HEIC carry x265 (GPL-2), those of video x264 and x265, which bind who ships them.
ARG HEIC=0
ARG VIDEO=0
RUN extras="serve,geometry" \
    && if [ "$HEIC" = 1 ]; then extras="$extras,heic"; fi \
    && if [ "$VIDEO" = 1 ]; then extras="$extras,video"; fi \
    && python -m venv /opt/kenspeckle \
    && /opt/kenspeckle/bin/pip install --no-cache-dir ".[$extras]"

FROM python:3.11-slim
RUN useradd --uid 10001 --create-home --shell /usr/sbin/nologin kenspeckle \
    && install --directory --owner kenspeckle /data
COPY --from=build /opt/kenspeckle /opt/kenspeckle
ENV PATH=/opt/kenspeckle/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    KENSPECKLE_MODELS_OFFLINE=1 \
    KENSPECKLE_KEYS=/data/keys.json \
    KENSPECKLE_KEY_FILE=/run/secrets/kenspeckle_key
USER 10001
WORKDIR /data
VOLUME /data
EXPOSE 8500
HEALTHCHECK --interval=15s --timeout=3s --start-period=20s \
    CMD ["python", "-c", "import urllib.request as u; u.urlopen('http://127.0.0.1:8500/livez', timeout=2)"]
ENTRYPOINT ["kenspeckle"]
CMD ["serve", "/data/gallery.ken", "--host", "0.0.0.0", "--port", "8500", "--log-format", "json"]
