# The service as an image: docs/production.md says how to run it.

FROM python:3.12-slim AS builder
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
WORKDIR /source
RUN python -m venv /opt/build && python -m venv /opt/newsletter
# What changes seldom comes first, so that a change of the code does not fetch everything anew.
COPY requirements/build.txt requirements/runtime.txt requirements/
RUN /opt/build/bin/pip install --require-hashes -r requirements/build.txt \
 && /opt/newsletter/bin/pip install --require-hashes -r requirements/runtime.txt
COPY pyproject.toml README.md LICENSE ./
COPY newsletter newsletter
COPY templates templates
COPY migrations migrations
# No network from here on: the wheel is made of this folder and of what was installed above.
RUN /opt/build/bin/pip wheel --no-index --no-deps --no-build-isolation --wheel-dir /wheels . \
 && /opt/newsletter/bin/pip install --no-index --no-deps /wheels/newsletter-*.whl

FROM python:3.12-slim
COPY --from=builder /opt/newsletter /opt/newsletter
# A number, so that an orchestrator can see that it is not root.
RUN install -d -m 0700 -o 10001 -g 10001 /data /data/spool
ENV PATH=/opt/newsletter/bin:$PATH NEWSLETTER_DATA_DIR=/data
VOLUME /data
WORKDIR /
USER 10001:10001
EXPOSE 8000
HEALTHCHECK --interval=30s --timeout=10s --start-period=20s --retries=3 \
  CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8000/readyz', timeout=8)"]
# No shell in between: SIGTERM reaches the service, which ends its requests and the mail in hand.
CMD ["newsletter", "serve", "--host", "0.0.0.0"]
