# syntax=docker/dockerfile:1
# One image for every process of a plant; docker-compose.yml says which command each one runs.
#
# TORCH_WHEELS   empty: torch as the package index has it, on x86-64 Linux the CUDA build, which runs on a CPU as well
#                (several GB). A folder or page with CPU wheels of the same version makes an image of about 1.7 GB for
#                machines without a GPU: pip takes 2.13.0+cpu before 2.13.0.

FROM python:3.11-slim AS packages
ARG TORCH_WHEELS=""
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
RUN python -m venv /packages
COPY requirements.txt constraints.txt /build/
RUN /packages/bin/pip install --progress-bar off ${TORCH_WHEELS:+--find-links "$TORCH_WHEELS"} -r /build/requirements.txt

FROM python:3.11-slim
ENV PATH=/packages/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    SECONDLOOK_INSTALL=plant \
    DATA_DIR=/var/lib/second-look \
    STATIC_ROOT=/srv/static
RUN useradd --system --uid 10001 --create-home --home-dir /var/lib/second-look second-look \
    && mkdir -p /srv/static /app && chown second-look /srv/static
COPY --from=packages /packages /packages
COPY . /app
WORKDIR /app
# The demo settings suffice to collect files; no secret of the plant enters the image.
RUN SECONDLOOK_INSTALL=demo DATA_DIR=/tmp/build python manage.py collectstatic --noinput && rm -rf /tmp/build
USER second-look
VOLUME /var/lib/second-look
EXPOSE 8000
CMD ["uvicorn", "config.asgi:application", "--host", "0.0.0.0", "--port", "8000"]
